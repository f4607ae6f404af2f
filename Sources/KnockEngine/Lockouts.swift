// SPDX-License-Identifier: GPL-2.0-or-later
internal import Synchronization
internal import Wire

/// The addresses that are locked out (docs/PROTOCOL.md §6.3); shared by all engines of a server.
final class Lockouts: Sendable {
    /// A lockout of one address, in milliseconds of uptime.
    struct Lockout {
        let since: UInt64
        let until: UInt64
    }

    private let table: Mutex<ExpiringTable<IPAddress, Lockout>>
    private let duration: UInt64
    /// Lets every packet see without the lock that nobody is locked out.
    private let isEmpty = Atomic(true)

    /// Reserves the room.
    ///
    /// - Parameters:
    ///   - capacity: How many addresses; when they are more, the one that would be free next is.
    ///   - duration: How long a lockout lasts, in milliseconds.
    ///   - memory: How long one is remembered after its end, in milliseconds: as long as a handshake can be.
    init(capacity: Int, duration: UInt64, memory: UInt64) {
        table = Mutex(ExpiringTable(capacity: capacity, lifetime: duration + memory))
        self.duration = duration
    }

    /// Locks an address out.
    func lock(_ address: IPAddress, at uptime: UInt64) {
        table.withLock { $0.insert(address, Lockout(since: uptime, until: uptime &+ duration), at: uptime) }
        isEmpty.store(false, ordering: .releasing)
    }

    /// The latest lockout of an address, one that is over perhaps; nil if there is none or it is forgotten.
    func find(_ address: IPAddress, at uptime: UInt64) -> Lockout? {
        if isEmpty.load(ordering: .acquiring) { return nil }
        return table.withLock { table in
            table.position(of: address, at: uptime).map { table[$0] }
        }
    }
}
