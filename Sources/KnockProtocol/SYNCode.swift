// SPDX-License-Identifier: GPL-2.0-or-later

/// The valid codes in the acknowledgment field of a SYN for one time slot (docs/PROTOCOL.md §4).
public struct SYNCode: Equatable, Sendable {
    /// The code that asks for a full mask; never 0.
    public let full: UInt32
    /// The code that asks for a windowed mask; never 0.
    public let windowed: UInt32

    /// Computes both codes of a handshake for a time slot.
    @inline(__always)
    public init(keys: KeySchedule, handshake: Handshake, slot: TimeSlot) {
        self.init(keys.hash(.synCode, handshake, UInt32(truncatingIfNeeded: slot.number >> 32)), slot)
    }

    /// Computes the codes of three consecutive slots, faster than one by one.
    ///
    /// - Parameters:
    ///   - slot: The slot in the middle.
    ///   - keys: The keys.
    ///   - handshake: `A` and `C`.
    /// - Returns: The codes; for slot 0, which has no previous slot, its own codes take that place.
    @inline(__always)
    public static func around(
        _ slot: TimeSlot, keys: KeySchedule, handshake: Handshake
    ) -> (previous: SYNCode, current: SYNCode, next: SYNCode) {
        let (previous, next) = (slot.previous ?? slot, slot.next)
        guard previous.number >> 32 == next.number >> 32 else {
            return (
                SYNCode(keys: keys, handshake: handshake, slot: previous),
                SYNCode(keys: keys, handshake: handshake, slot: slot),
                SYNCode(keys: keys, handshake: handshake, slot: next)
            )
        }
        let common = keys.hash(.synCode, handshake, UInt32(truncatingIfNeeded: slot.number >> 32))
        return (SYNCode(common, previous), SYNCode(common, slot), SYNCode(common, next))
    }

    /// Completes the hash with the last four bytes, the low half of the slot's number.
    @inline(__always)
    private init(_ hash: SipHash, _ slot: TimeSlot) {
        let output = hash.finish(UInt64(UInt32(truncatingIfNeeded: slot.number).byteSwapped), length: 28)
        let (first, second) = (UInt32(truncatingIfNeeded: output >> 32), UInt32(truncatingIfNeeded: output))
        // 0 is what every ordinary SYN carries; such a SYN is dropped before it reaches the daemon.
        full = first == 0 ? 1 : first
        windowed = second == 0 ? 1 : second
    }

    /// The code that asks for a mode.
    public subscript(mode: MaskMode) -> UInt32 {
        switch mode {
        case .full: full
        case .windowed: windowed
        }
    }

    /// Returns the mode that a received code asks for; nil if the code is wrong.
    ///
    /// If both codes are equal, the mode is full. Both comparisons are always made, on whole words, so the time taken
    /// reveals nothing about the codes.
    ///
    /// - Parameter code: The acknowledgment field of the SYN.
    /// - Returns: The mode; nil if the code is neither of the two.
    @inlinable @inline(__always)
    public func mode(of code: UInt32) -> MaskMode? {
        let isFull = code ^ full
        let isWindowed = code ^ windowed
        return isFull == 0 ? .full : isWindowed == 0 ? .windowed : nil
    }
}
