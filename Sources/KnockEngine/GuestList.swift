// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// The guests of a server, and the index that finds the guest a code belongs to.
///
/// The cost of a SYN with a wrong code does not grow with the number of guests: if there are more than a few, only the
/// guests whose hint the SYN carries are tried, and only in the slot of that hint.
struct GuestList {
    /// A valid code, and what it was computed from.
    struct Match {
        /// The guest's position in the list.
        let position: Int
        /// `A` and `C`.
        let handshake: Handshake
        let mode: MaskMode
        let slot: TimeSlot
    }

    /// Up to this many guests, trying all keys is cheap enough.
    static let fewGuests = 8

    /// The guests, referred to by their position.
    let guests: [Guest]
    private let positions: [KeyID: Int]
    /// The guests' keys, stored contiguously.
    private let keys: [KeySchedule]
    /// The positions of the guests that may roam.
    private let roaming: [Int]
    private let usesTime: Bool
    private let triesAll: Bool
    private var index: HintIndex

    init(_ guests: [Guest], usesTime: Bool, mostKeysTried: Int) {
        self.guests = guests
        self.usesTime = usesTime
        keys = guests.map(\.keys)
        roaming = guests.indices.filter { guests[$0].isRoaming }
        positions = Dictionary(guests.enumerated().map { ($1.id, $0) }) { first, _ in first }
        let isFew = guests.count <= Self.fewGuests
        triesAll = guests.count <= mostKeysTried
        // If all keys are tried anyway and there are few of them, checking the hint first would only cost time.
        index = HintIndex(keyCount: triesAll && isFew ? 0 : guests.count)
    }

    /// Finds a guest by its id; nil if it has been removed.
    func position(of id: KeyID) -> Int? {
        // With a single guest, no hashing is needed.
        if guests.count == 1 { return guests[0].id == id ? 0 : nil }
        return positions[id]
    }

    /// Finds the guest, the mode and the slot that a code belongs to.
    ///
    /// - Parameters:
    ///   - code: The acknowledgment field of the SYN.
    ///   - hint: The hint in its identification field or flow label.
    ///   - handshake: Its source address and ISN.
    ///   - now: The current slot.
    /// - Returns: The match; nil if the code is wrong.
    mutating func match(_ code: UInt32, hint: UInt16, _ handshake: Handshake, slot now: TimeSlot) -> Match? {
        if index.hasRoom {
            index.prepare(for: usesTime ? now : .timeless, usesTime: usesTime, guests)
            var cursor = index.first(hint)
            while let found = index.entry(at: cursor) {
                if found.hint == hint, let match = match(code, handshake, found.position, only: found.slot) {
                    return match
                }
                cursor = index.next(cursor)
            }
        }
        return triesAll ? matchAny(code, handshake, slot: now) : nil
    }

    /// Tries all keys in all accepted slots.
    @inline(__always)
    private func matchAny(_ code: UInt32, _ handshake: Handshake, slot now: TimeSlot) -> Match? {
        for position in keys.indices {
            if let (mode, slot) = match(code, handshake, keys[position], now) {
                return Match(position: position, handshake: handshake, mode: mode, slot: slot)
            }
        }
        let unbound = Handshake.roaming(clientISN: handshake.clientISN)
        for position in roaming {
            if let (mode, slot) = match(code, unbound, keys[position], now) {
                return Match(position: position, handshake: unbound, mode: mode, slot: slot)
            }
        }
        return nil
    }

    @inline(__always)
    private func match(_ code: UInt32, _ handshake: Handshake, _ position: Int, only slot: TimeSlot) -> Match? {
        if let mode = SYNCode(keys: keys[position], handshake: handshake, slot: slot).mode(of: code) {
            return Match(position: position, handshake: handshake, mode: mode, slot: slot)
        }
        guard guests[position].isRoaming else { return nil }
        let unbound = Handshake.roaming(clientISN: handshake.clientISN)
        guard let mode = SYNCode(keys: keys[position], handshake: unbound, slot: slot).mode(of: code) else {
            return nil
        }
        return Match(position: position, handshake: unbound, mode: mode, slot: slot)
    }

    /// Finds the mode and the slot of a code; all slots are always tried, whichever one is right.
    @inline(__always)
    private func match(
        _ code: UInt32, _ handshake: Handshake, _ keys: KeySchedule, _ slot: TimeSlot
    ) -> (MaskMode, TimeSlot)? {
        guard usesTime else {
            let code = SYNCode(keys: keys, handshake: handshake, slot: .timeless).mode(of: code)
            return code.map { ($0, .timeless) }
        }
        let codes = SYNCode.around(slot, keys: keys, handshake: handshake)
        let modes = (codes.previous.mode(of: code), codes.current.mode(of: code), codes.next.mode(of: code))
        if let mode = modes.1 { return (mode, slot) }
        if let mode = modes.2 { return (mode, slot.next) }
        if let mode = modes.0 { return (mode, slot.previous ?? slot) }
        return nil
    }
}
