// SPDX-License-Identifier: GPL-2.0-or-later

/// Limits events to a number per second, and counts the suppressed ones.
package struct RateLimiter {
    private let perSecond: Int
    private var second: UInt64 = 0
    private var used = 0
    private var held = 0

    package init(perSecond: Int) {
        self.perSecond = perSecond
    }

    /// Returns whether another event may pass.
    ///
    /// - Parameter uptime: Milliseconds of a monotonic clock.
    /// - Returns: nil if the event is suppressed; otherwise the number of events suppressed since the last one that
    ///   passed.
    package mutating func pass(at uptime: UInt64) -> Int? {
        let second = uptime / 1000
        if second != self.second {
            self.second = second
            used = 0
        }
        guard used < perSecond else {
            held += 1
            return nil
        }
        used += 1
        defer { held = 0 }
        return held
    }

    /// Returns whether another event may pass.
    ///
    /// The number of suppressed events is kept for `takeHeld`.
    package mutating func passOrHold(at uptime: UInt64) -> Bool {
        let before = held
        guard pass(at: uptime) != nil else { return false }
        held = before
        return true
    }

    /// Whether there are suppressed events that `takeHeld` has not returned yet.
    package var isHolding: Bool { held > 0 }

    /// Returns the number of suppressed events, and resets it; 0 during the second in which they were suppressed.
    package mutating func takeHeld(at uptime: UInt64) -> Int {
        guard uptime / 1000 != second else { return 0 }
        defer { held = 0 }
        return held
    }
}
