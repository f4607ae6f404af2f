// SPDX-License-Identifier: GPL-2.0-or-later

/// The codes that the acknowledgment field of a SYN may carry in one time slot (docs/PROTOCOL.md §4).
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

    /// Computes both codes for a slot and the ones before and after it, in less time than three times one.
    ///
    /// - Returns: Slot 0 has none before it and gets its own.
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

    /// Takes in the last four bytes, the lower half of the slot's number.
    @inline(__always)
    private init(_ hash: SipHash, _ slot: TimeSlot) {
        let output = hash.finish(UInt64(UInt32(truncatingIfNeeded: slot.number).byteSwapped), length: 28)
        let (first, second) = (UInt32(truncatingIfNeeded: output >> 32), UInt32(truncatingIfNeeded: output))
        // 0 is what every ordinary SYN carries, and is dropped before the daemon sees it.
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

    /// Finds the mode that a received code asks for; nil if it is neither of the two.
    ///
    /// A code that is both is full. Both comparisons are always made, and each is one of whole words, so the time tells nothing of the codes.
    @inlinable @inline(__always)
    public func mode(of code: UInt32) -> MaskMode? {
        let isFull = code ^ full
        let isWindowed = code ^ windowed
        return isFull == 0 ? .full : isWindowed == 0 ? .windowed : nil
    }
}
