// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol

/// The meaning of a right proof.
package struct ProofExplanation: Equatable, Sendable {
    /// The name of the key.
    package let key: String
    /// The mask of the ISN.
    package let mode: MaskMode
    /// The address that the proof was computed with.
    package let candidate: AddressCandidate
    /// The ISN that the server's kernel chose, `S` of docs/PROTOCOL.md §5.
    package let trueISN: UInt32
}
