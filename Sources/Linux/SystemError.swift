// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// A failed system call, or a netlink request that the kernel refused.
public struct SystemError: ReportableError, Equatable {
    /// The name of the system call or netlink request.
    public let call: String
    /// The error number of errno(3).
    public let number: Int32

    /// Creates an error from a call and its error number.
    public init(_ call: String, _ number: Int32) {
        self.call = call
        self.number = number
    }

    /// Creates an error from the call that has just failed, with the current errno.
    public init(_ call: String) {
        self.init(call, Glibc.errno)
    }

    /// The error to exit with; its text is `call: message`, in the manner of perror(3).
    public var fatal: FatalError {
        FatalError("\(call): \(unsafe String(cString: strerror(number)))", status: .system)
    }

    /// Whether the process lacks the right for the call.
    package var isForbidden: Bool { number == EPERM || number == EACCES }
}
