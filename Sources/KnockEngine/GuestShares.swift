// SPDX-License-Identifier: GPL-2.0-or-later

/// Counts each guest's entries in a table that all guests share, and decides whether a guest may take one more.
///
/// Half of the table is divided equally: a guest's share of it is always available to that guest. The other half is
/// first come, first served. So a single guest can use the whole table, and one of many can never have more than its
/// share plus half of the table.
struct GuestShares {
    private let capacity: Int
    private var guestCount: Int
    private var counts: [KeyID: Int] = [:]
    /// The number of entries that guests have taken in excess of their shares.
    private var takenBeyond = 0

    /// Creates shares for one guest that has no entries.
    ///
    /// - Parameter capacity: The number of entries in the table.
    init(capacity: Int) {
        self.capacity = capacity
        guestCount = 1
        counts.reserveCapacity(1)
    }

    /// The number of entries reserved for each guest.
    private var share: Int { capacity / 2 / guestCount }

    /// Divides the table among a new number of guests.
    mutating func divide(among guests: Int) {
        // Enough for the guests that still have codes plus as many new ones, so that taking an entry never allocates.
        counts.reserveCapacity(counts.count + max(guests, 1))
        guard max(guests, 1) != guestCount else { return }
        guestCount = max(guests, 1)
        takenBeyond = counts.values.reduce(0) { $0 + max(0, $1 - share) }
    }

    /// Returns whether a guest may take one more entry.
    func mayTake(_ guest: KeyID) -> Bool {
        counts[guest, default: 0] < share || takenBeyond < capacity - share * guestCount
    }

    /// Notes that a guest has taken an entry.
    mutating func take(_ guest: KeyID) {
        let count = counts[guest, default: 0]
        counts[guest] = count + 1
        if count >= share { takenBeyond += 1 }
    }

    /// Notes that a guest has given an entry back.
    mutating func giveBack(_ guest: KeyID) {
        guard let count = counts[guest] else { return }
        counts[guest] = count > 1 ? count - 1 : nil
        if count > share { takenBeyond -= 1 }
    }
}
