// SPDX-License-Identifier: GPL-2.0-or-later
package import Logging
internal import Netfilter

/// The kernel's counting of the bytes of tracked connections.
package enum ByteCounting {
    /// Turns counting on.
    ///
    /// Logs a notice if that is not possible.
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
