// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// A lockout of one guest at an address, or of a whole address.
public struct Lockout: Equatable, Sendable {
    /// Whom a lockout applies to.
    public struct Subject: Hashable, Sendable {
        /// The source address.
        public let address: IPAddress
        /// The guest's key; nil for every guest and stranger.
        public let key: KeyID?

        public init(_ address: IPAddress, _ key: KeyID?) {
            self.address = address
            self.key = key
        }

        /// Hashes the address alone, so that all lockouts of one address are found together.
        public func hash(into hasher: inout Hasher) { hasher.combine(address) }
    }

    /// When it began, in milliseconds of uptime.
    public let since: UInt64
    /// When it ends, in milliseconds of uptime.
    public let until: UInt64
    /// What it was imposed for.
    public let reason: Reason

    public init(since: UInt64, until: UInt64, reason: Reason) {
        self.since = since
        self.until = until
        self.reason = reason
    }
}
