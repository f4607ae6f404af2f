// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
internal import Wire

/// The meaning of a right code.
package struct CodeExplanation: Equatable, Sendable {
    /// The name of the key.
    package let key: String
    /// The mask that the code asks for.
    package let mode: MaskMode
    /// The code's time slot, in minutes after that of the capture's clock; nil if the code does not depend on the time
    /// (`--no-time`).
    package let slotOffset: Int?
    /// The address that the code was computed with.
    package let candidate: AddressCandidate
    /// Whether the SYN also carries the hint of that key.
    package let hint: HintFinding

    /// Whether a server with the capture's clock accepts the code: it is of the previous, the current or the next
    /// minute.
    package var isInTime: Bool { slotOffset.map { (-1...1).contains($0) } ?? true }
}
