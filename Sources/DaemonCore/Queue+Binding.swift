// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
package import Netfilter

extension Queue {
    /// Binds a queue, and explains the error if that fails.
    package static func bind(_ number: UInt16, _ options: Options) throws(FatalError) -> Queue {
        do throws(SystemError) {
            return try Queue(number: number, options: options)
        } catch {
            throw explanation(of: error, binding: number)
        }
    }

    /// Explains why a queue cannot be bound.
    static func explanation(of error: SystemError, binding number: UInt16) -> FatalError {
        guard error.number == EPERM || error.number == EBUSY else { return error.fatal.at("queue \(number)") }
        if let owner = owner(of: number) {
            return FatalError(
                "queue \(number) is bound by another process already (netlink port \(owner), mostly its process id)",
                cure: "stop that one, or choose another queue here and in the firewall rules with --queue-num",
                status: .unavailable)
        }
        return FatalError(
            "not permitted", at: "queue \(number)", cure: "binding a queue needs CAP_NET_ADMIN, so run this as root",
            status: .noPermission)
    }
}
