// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import KnockProtocol
internal import Settings

/// The slots of which codes were used (docs/PROTOCOL.md §4), slow and obvious: each by itself, with when it is retired.
///
/// Where there are more than 16 stretches of them, the two with the fewest slots between become one; but not if a slot
/// that is accepted now would be in it.
struct ReferenceSlots {
    private struct Stretch {
        var first: UInt64
        var last: UInt64
        var retires: UInt64
    }

    private var stretches: [Stretch] = []

    func isRetired(_ slot: TimeSlot, at now: Instant) -> Bool {
        stretches.contains { $0.first <= slot.number && slot.number <= $0.last && $0.retires <= now.uptime }
    }

    mutating func use(_ slot: TimeSlot, at now: Instant) {
        let number = slot.number
        guard !stretches.contains(where: { $0.first <= number && number <= $0.last }) else { return }
        stretches.append(Stretch(first: number, last: number, retires: now.uptime + 180_000))
        stretches.sort { $0.first < $1.first }
        while let index = stretches.indices.dropFirst().first(where: { areOneRetired($0, at: now) }) { join(index) }
        while stretches.count > 16 {
            let slot = now.slot.number
            let accepted = (slot == 0 ? 0 : slot - 1)...(slot + 1)
            let candidates = stretches.indices.dropFirst().filter { index in
                !(stretches[index - 1].first...stretches[index].last).overlaps(accepted)
            }
            let nearest = candidates.min { distance($0) < distance($1) }
            join(nearest ?? 1)
        }
    }

    private func distance(_ index: Int) -> UInt64 { stretches[index].first - stretches[index - 1].last }

    private func areOneRetired(_ index: Int, at now: Instant) -> Bool {
        max(stretches[index - 1].retires, stretches[index].retires) <= now.uptime && distance(index) == 1
    }

    private mutating func join(_ index: Int) {
        let later = stretches.remove(at: index)
        stretches[index - 1].last = later.last
        stretches[index - 1].retires = min(stretches[index - 1].retires, later.retires)
    }
}
