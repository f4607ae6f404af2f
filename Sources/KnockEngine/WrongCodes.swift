// SPDX-License-Identifier: GPL-2.0-or-later
internal import Synchronization
internal import Wire

/// Counts the wrong codes from each address within a period; shared by all engines of a server.
///
/// Anyone who can forge a source address can have that address locked out, so this is off by default.
struct WrongCodes: ~Copyable {
    /// The maximum number of addresses counted; beyond it, the one counted first is forgotten.
    private static let capacity = 65_536

    private var table: ExpiringTable<IPAddress, UInt32>?
    private var limit: UInt32 = 0

    /// Creates the counters; no memory is reserved until there is a limit.
    init(limit: UInt32, seconds: UInt32) {
        table = nil
        configure(limit: limit, seconds: seconds)
    }

    /// Changes the limit (0 means none) and the period in seconds.
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

    /// Counts a wrong code; the period starts with the first one.
    ///
    /// - Returns: Whether the limit is reached. The count then starts over.
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
