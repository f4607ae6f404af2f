// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// A system call that failed, or a netlink request that the kernel refused.
public struct SystemError: Error, Equatable, CustomStringConvertible {
    /// What was tried: the name of the call or of the netlink request.
    public let call: String
    /// The error number of errno(3).
    public let number: Int32

    /// Names a call and its error number.
    public init(_ call: String, _ number: Int32) {
        self.call = call
        self.number = number
    }

    /// Takes the error number of the call that has just failed.
    public init(_ call: String) {
        self.init(call, Glibc.errno)
    }

    /// `call: message`, as perror(3) writes it.
    public var description: String {
        "\(call): \(unsafe String(cString: strerror(number)))"
    }
}
