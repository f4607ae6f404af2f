// SPDX-License-Identifier: GPL-2.0-or-later

/// Who has how many places of a table that all guests share, and whether one more may be taken.
///
/// Half of the places are divided equally: each guest's share is there for that guest whatever the others do. The other
/// half is for whoever comes first. So one guest alone has all places, and one of many can never have more than its
/// share and half of the table.
struct GuestShares {
    private let capacity: Int
    private var guestCount: Int
    private var counts: [KeyID: Int] = [:]
    /// How many places are taken beyond the shares of those who have them.
    private var takenBeyond = 0

    /// Begins with one guest, who has taken nothing.
    ///
    /// - Parameter capacity: How many places there are.
    init(capacity: Int) {
        self.capacity = capacity
        guestCount = 1
        counts.reserveCapacity(1)
    }

    /// How many places are there for each guest in any case.
    private var share: Int { capacity / 2 / guestCount }

    /// Divides the places anew, among another number of guests.
    mutating func divide(among guests: Int) {
        // For those whose codes are still there, and as many others: to take a place never allocates.
        counts.reserveCapacity(counts.count + max(guests, 1))
        guard max(guests, 1) != guestCount else { return }
        guestCount = max(guests, 1)
        takenBeyond = counts.values.reduce(0) { $0 + max(0, $1 - share) }
    }

    /// Whether a guest may take one more place.
    func mayTake(_ guest: KeyID) -> Bool {
        counts[guest, default: 0] < share || takenBeyond < capacity - share * guestCount
    }

    /// Notes that a guest has taken a place.
    mutating func take(_ guest: KeyID) {
        let count = counts[guest, default: 0]
        counts[guest] = count + 1
        if count >= share { takenBeyond += 1 }
    }

    /// Notes that a guest has given a place back.
    mutating func giveBack(_ guest: KeyID) {
        guard let count = counts[guest] else { return }
        counts[guest] = count > 1 ? count - 1 : nil
        if count > share { takenBeyond -= 1 }
    }
}
