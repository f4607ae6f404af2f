// SPDX-License-Identifier: GPL-2.0-or-later
internal import Synchronization
internal import Wire

/// How many wrong codes came from each address within a period; shared by all engines of a server.
///
/// Whoever can send in somebody else's name can count up for them, so a server does this only when asked to.
struct WrongCodes: ~Copyable {
    /// So many addresses are counted; when they are more, the one that was counted first is forgotten.
    private static let capacity = 65_536

    private var table: ExpiringTable<IPAddress, UInt32>?
    private var limit: UInt32 = 0

    /// Reserves no memory until there is a limit.
    init(limit: UInt32, seconds: UInt32) {
        table = nil
        configure(limit: limit, seconds: seconds)
    }

    /// Changes the limit, 0 for none, and the period.
    mutating func configure(limit: UInt32, seconds: UInt32) {
        guard limit > 0 else {
            table = nil
            self.limit = 0
            return
        }
        let lifetime = UInt64(seconds) * 1000
        guard self.limit != limit || table?.lifetime != lifetime else { return }
        self.limit = limit
        table = ExpiringTable(capacity: Self.capacity, lifetime: lifetime)
    }

    /// Counts one; the period begins with the first.
    ///
    /// - Returns: Whether it is one too many. Then counting begins anew.
    mutating func count(_ address: IPAddress, at uptime: UInt64) -> Bool {
        guard limit > 0 else { return false }
        guard let position = table?.position(of: address, at: uptime) else {
            if limit == 1 { return true }
            table?.insert(address, 1, at: uptime)
            return false
        }
        table?[position] += 1
        guard let count = table?[position], count >= limit else { return false }
        table?.remove(at: position)
        return true
    }
}
