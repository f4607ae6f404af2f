// SPDX-License-Identifier: GPL-2.0-or-later

/// How many handshakes each guest may begin: a token bucket each, so that none can keep the server busy for others.
struct GuestRates {
    private struct Bucket {
        /// In thousandths, so that each millisecond adds a whole number.
        var tokens: UInt64
        /// When that was, in milliseconds of uptime.
        var time: UInt64
    }

    /// After a pause a guest may begin as many at once as in so many seconds.
    private static let burstSeconds: UInt64 = 10
    private static let token: UInt64 = 1000

    private var perSecond: UInt64
    private var guestCount = 1
    private var buckets: [KeyID: Bucket] = [:]

    /// Begins with full buckets; 0 for no limit.
    init(perSecond: UInt32) { self.perSecond = UInt64(perSecond) }

    /// Changes the limit; 0 for none.
    mutating func configure(perSecond: UInt32) {
        guard self.perSecond != UInt64(perSecond) else { return }
        self.perSecond = UInt64(perSecond)
        buckets.removeAll(keepingCapacity: true)
    }

    /// Takes over how many guests there are.
    mutating func adopt(guestCount: Int) {
        self.guestCount = guestCount
        buckets.removeAll(keepingCapacity: true)
        buckets.reserveCapacity(guestCount)
    }

    /// One guest alone takes nothing from anybody.
    private var isLimited: Bool { perSecond > 0 && guestCount > 1 }

    private var full: UInt64 { perSecond * Self.burstSeconds * Self.token }

    private func tokens(of guest: KeyID, at uptime: UInt64) -> UInt64 {
        guard let bucket = buckets[guest] else { return full }
        let pause = min(uptime &- min(bucket.time, uptime), Self.burstSeconds * 1000)
        return min(full, bucket.tokens + pause * perSecond)
    }

    /// Whether a guest may begin one more.
    func mayBegin(_ guest: KeyID, at uptime: UInt64) -> Bool {
        !isLimited || tokens(of: guest, at: uptime) >= Self.token
    }

    /// Notes that a guest has begun one.
    mutating func begin(_ guest: KeyID, at uptime: UInt64) {
        guard isLimited else { return }
        let tokens = tokens(of: guest, at: uptime)
        buckets[guest] = Bucket(tokens: tokens - min(tokens, Self.token), time: uptime)
    }
}
