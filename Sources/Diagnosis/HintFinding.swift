// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// Whether the identification field or flow label of a SYN is the hint of the key that its code was made with.
package enum HintFinding: String, Sendable {
    /// It is the hint of that key.
    case right
    /// There is no hint: the field is 0, as a client without hints leaves it.
    case absent
    /// It is another number: the client sends no hint, or a box on the way changed the field.
    case other

    /// Examines the hint of a SYN whose code is explained.
    static func judge(_ segment: CapturedSegment, keys: KeySchedule, slot: TimeSlot) -> HintFinding {
        let number = KeyHint.number(in: segment.identifier)
        if number == 0 { return .absent }
        return number == KeyHint(keys: keys, slot: slot).number ? .right : .other
    }
}
