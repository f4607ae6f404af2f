// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
package import Netfilter

extension StatusReport.Queue {
    /// Takes the kernel's figures.
    package init(_ statistics: QueueStatistics) {
        self.init(
            number: statistics.number, holder: statistics.holder, waiting: statistics.waiting,
            packets: statistics.packets, droppedInQueue: statistics.droppedInQueue,
            droppedOnTheWay: statistics.droppedOnTheWay)
    }
}
