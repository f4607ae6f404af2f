// SPDX-License-Identifier: GPL-2.0-or-later

/// Limits how many handshakes each guest may begin, with one token bucket per guest, so that none can crowd out others.
struct GuestRates {
    private struct Bucket {
        /// In thousandths of a token, so that each millisecond adds a whole number.
        var tokens: UInt64
        /// When `tokens` was computed, in milliseconds of uptime.
        var time: UInt64
    }

    /// After a pause, a guest may begin as many handshakes at once as are allowed in this many seconds.
    private static let burstSeconds: UInt64 = 10
    private static let token: UInt64 = 1000

    private var perSecond: UInt64
    private var guestCount = 1
    private var buckets: [KeyID: Bucket] = [:]

    /// Creates full buckets; a limit of 0 means none.
    init(perSecond: UInt32) { self.perSecond = UInt64(perSecond) }

    /// Changes the limit; 0 means none.
    mutating func configure(perSecond: UInt32) {
        guard self.perSecond != UInt64(perSecond) else { return }
        self.perSecond = UInt64(perSecond)
        buckets.removeAll(keepingCapacity: true)
    }

    /// Sets the number of guests.
    mutating func adopt(guestCount: Int) {
        self.guestCount = guestCount
        buckets.removeAll(keepingCapacity: true)
        buckets.reserveCapacity(guestCount)
    }

    /// Whether there is a limit; a single guest is not limited, since there is nobody to crowd out.
    private var isLimited: Bool { perSecond > 0 && guestCount > 1 }

    private var full: UInt64 { perSecond * Self.burstSeconds * Self.token }

    private func tokens(of guest: KeyID, at uptime: UInt64) -> UInt64 {
        guard let bucket = buckets[guest] else { return full }
        let pause = min(uptime &- min(bucket.time, uptime), Self.burstSeconds * 1000)
        return min(full, bucket.tokens + pause * perSecond)
    }

    /// Returns whether a guest may begin one more handshake.
    func mayBegin(_ guest: KeyID, at uptime: UInt64) -> Bool {
        !isLimited || tokens(of: guest, at: uptime) >= Self.token
    }

    /// Notes that a guest has begun a handshake.
    mutating func begin(_ guest: KeyID, at uptime: UInt64) {
        guard isLimited else { return }
        let tokens = tokens(of: guest, at: uptime)
        buckets[guest] = Bucket(tokens: tokens - min(tokens, Self.token), time: uptime)
    }
}
