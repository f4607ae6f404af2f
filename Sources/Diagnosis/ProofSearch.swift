// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

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

/// The result of examining the identification field or flow label of a SYN/ACK.
package enum ProofFinding: Equatable, Sendable {
    /// The field is 0, as ordinary servers send it: there is no proof.
    case absent
    /// A right proof.
    case explained(ProofExplanation)
    /// A number that proves nothing: from an ordinary server, or from one whose answer was changed on the way.
    case unexplained
}

extension CodeSearch {
    /// Finds what the nonce of a SYN/ACK proves.
    ///
    /// - Parameters:
    ///   - synACK: The segment.
    ///   - clientISN: The client's ISN, `C`.
    ///   - code: The explanation of the SYN's code, if it is known; then only the same key, mask and address are tried.
    ///     A proof has 16 bits (IPv4) or 20 bits (IPv6), so with everything tried, one in thousands holds by chance.
    /// - Returns: The first explanation, in the order of the keys.
    package func finding(for synACK: CapturedSegment, clientISN: UInt32, code: CodeExplanation?) -> ProofFinding {
        guard synACK.identifier != 0 else { return .absent }
        for key in keys where code == nil || code?.key == key.name {
            for candidate in code.map({ [$0.candidate] }) ?? candidates(for: synACK.destination) {
                let handshake = Handshake(clientAddress: candidate.address, clientISN: clientISN)
                for mode in code.map({ [$0.mode] }) ?? MaskMode.allCases {
                    guard
                        let trueISN = ServerProof.verifiedISN(
                            keys: key.keys, handshake: handshake, maskedISN: synACK.sequenceNumber,
                            nonce: synACK.identifier, mode: mode, family: synACK.source.family)
                    else { continue }
                    return .explained(
                        ProofExplanation(key: key.name, mode: mode, candidate: candidate, trueISN: trueISN))
                }
            }
        }
        return .unexplained
    }
}

/// A search for any nonce that goes with a sequence number, as if a holder of the key had sent both.
///
/// If only the identification field or flow label of a SYN/ACK was changed on the way, there is such a nonce: the one
/// that was sent. If the sequence number was changed, or was never masked, each possible nonce is right with a
/// probability of one in their number, so with probability 1/e (37 %) there is none. A single SYN/ACK without a
/// solution shows that its sequence number was changed; all of `count` being solvable happens by chance with
/// probability 0.63^count.
package enum NonceSearch {
    /// Whether there is such a nonce.
    ///
    /// Takes up to 65,535 trials for IPv4 and 1,048,575 for IPv6.
    package static func hasSolution(
        keys: KeySchedule, handshake: Handshake, maskedISN: UInt32, mode: MaskMode, family: IPFamily
    ) -> Bool {
        let last: UInt32 = family == .ipv4 ? 0xffff : 0xf_ffff
        return (1...last).contains { nonce in
            ServerProof.verifiedISN(
                keys: keys, handshake: handshake, maskedISN: maskedISN, nonce: nonce, mode: mode, family: family)
                != nil
        }
    }
}
