// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// Whether the identification field or flow label of a SYN is the hint of the key that its code is of.
package enum HintFinding: String, Sendable {
    /// It is that key's hint.
    case right
    /// There is none: the field is 0, as the client leaves it without hints.
    case absent
    /// It is something else: the client leaves the hint out, or a box on the way changed the field.
    case other

    /// Judges a SYN whose code is explained.
    static func judge(_ segment: CapturedSegment, keys: KeySchedule, slot: TimeSlot) -> HintFinding {
        let number = KeyHint.number(in: segment.nonceField)
        if number == 0 { return .absent }
        return number == KeyHint(keys: keys, slot: slot).number ? .right : .other
    }
}
