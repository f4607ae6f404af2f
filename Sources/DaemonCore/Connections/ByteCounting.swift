// SPDX-License-Identifier: GPL-2.0-or-later
package import Logging
internal import Netfilter

/// Whether connection tracking counts the bytes of connections.
package enum ByteCounting {
    /// Has it count from now on; says in the log if that cannot be done.
    package static func enable(_ logger: Logger) {
        switch ConntrackSetting.accounting.turnOn() {
        case .wasOn:
            break
        case .turnedOn:
            logger.info("the bytes of connections are counted from now on: net.netfilter.nf_conntrack_acct was 0, is 1")
        case .failed(let error):
            logger.notice("the bytes of connections are not counted: \(error)")
        }
    }
}
