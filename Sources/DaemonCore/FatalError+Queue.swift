// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
internal import Netfilter
package import Program

extension FatalError {
    /// Creates an error that explains why a queue cannot be bound.
    package init(binding number: UInt16, _ error: SystemError) {
        guard error.number == EPERM || error.number == EBUSY else {
            self.init("queue \(number): \(error)", status: EX_OSERR)
            return
        }
        if let owner = Queue.owner(of: number) {
            self.init(
                "queue \(number) is bound by another process already (netlink port \(owner), mostly its process id); "
                    + "stop that one, or choose another queue here and in the firewall rules with --queue-num",
                status: EX_UNAVAILABLE)
        } else {
            self.init(
                "queue \(number): not permitted; binding a queue needs CAP_NET_ADMIN, so run this as root",
                status: EX_NOPERM)
        }
    }
}
