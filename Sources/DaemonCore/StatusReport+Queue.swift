// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
package import Netfilter

extension StatusReport.Queue {
    /// Creates a queue's status from the kernel's statistics.
    package init(_ statistics: QueueStatistics) {
        self.init(
            number: statistics.number, holder: statistics.holder, waiting: statistics.waiting,
            packets: statistics.packets, droppedInQueue: statistics.droppedInQueue,
            droppedOnTheWay: statistics.droppedOnTheWay)
    }
}
