// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// The codes that the acknowledgment field of a SYN may carry in one time slot (docs/PROTOCOL.md §4).
package struct SYNCode: Equatable, Sendable {
    /// The code that asks for a full mask; never 0.
    package let full: UInt32
    /// The code that asks for a windowed mask; never 0.
    package let windowed: UInt32

    /// Computes both codes of a handshake for a time slot.
    package init(keys: KeySchedule, handshake: Handshake, slot: TimeSlot) {
        var message = [28 of UInt8](repeating: 0)
        var bytes = message.mutableSpan
        handshake.store(in: &bytes)
        bytes.store(slot.number, at: 20)
        let output = keys.hash(.synCode, message.span)
        let (first, second) = (UInt32(truncatingIfNeeded: output >> 32), UInt32(truncatingIfNeeded: output))
        // 0 is what every ordinary SYN carries, and is dropped before the daemon sees it.
        full = first == 0 ? 1 : first
        windowed = second == 0 ? 1 : second
    }

    /// The code that asks for a mode.
    package subscript(mode: MaskMode) -> UInt32 {
        switch mode {
        case .full: full
        case .windowed: windowed
        }
    }

    /// Finds the mode that a received code asks for; nil if it is neither of the two.
    ///
    /// A code that is both is full. Both comparisons are always made, and each is one of whole words, so the time tells nothing of the codes.
    package func mode(of code: UInt32) -> MaskMode? {
        let isFull = code ^ full
        let isWindowed = code ^ windowed
        return isFull == 0 ? .full : isWindowed == 0 ? .windowed : nil
    }
}
