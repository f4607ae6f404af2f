// SPDX-License-Identifier: GPL-2.0-or-later

extension Queue {
    /// Finds out who holds a queue.
    ///
    /// - Returns: The netlink port of the holder, which for most programs is their process id; nil if nobody holds it
    ///   or this process may not know.
    public static func owner(of number: UInt16) -> UInt32? {
        QueueStatistics.all().first { $0.number == number }?.holder
    }
}
