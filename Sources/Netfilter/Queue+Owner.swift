// SPDX-License-Identifier: GPL-2.0-or-later

extension Queue {
    /// Returns the holder of a queue.
    ///
    /// - Parameter number: The number of the queue.
    /// - Returns: The holder's netlink port, which for most programs is their process id; nil if nobody holds the queue
    ///   or this process lacks permission to read it.
    public static func owner(of number: UInt16) -> UInt32? {
        QueueStatistics.all().first { $0.number == number }?.holder
    }
}
