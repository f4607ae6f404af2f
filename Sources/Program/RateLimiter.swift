// SPDX-License-Identifier: GPL-2.0-or-later

/// Lets through so many a second, and counts the rest.
package struct RateLimiter {
    private let perSecond: Int
    private var second: UInt64 = 0
    private var used = 0
    private var held = 0

    package init(perSecond: Int) {
        self.perSecond = perSecond
    }

    /// Asks whether one more may pass.
    ///
    /// - Parameter uptime: Milliseconds of a clock that never goes back.
    /// - Returns: nil if not; else how many have been held back since the last that passed.
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

    /// Asks whether one more may pass; how many did not is kept for `takeHeld`.
    package mutating func passOrHold(at uptime: UInt64) -> Bool {
        let before = held
        guard pass(at: uptime) != nil else { return false }
        held = before
        return true
    }

    /// Whether some have been held back that were not taken account of.
    package var isHolding: Bool { held > 0 }

    /// How many have been held back; 0 while the second lasts in which that happens.
    package mutating func takeHeld(at uptime: UInt64) -> Int {
        guard uptime / 1000 != second else { return 0 }
        defer { held = 0 }
        return held
    }
}
