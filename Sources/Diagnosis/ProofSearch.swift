// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

/// What a right proof says.
package struct ProofExplanation: Equatable, Sendable {
    /// The name of the key.
    package let key: String
    /// How the ISN is masked.
    package let mode: MaskMode
    /// The address that it was computed with.
    package let candidate: AddressCandidate
    /// `S`: the server's ISN as its kernel chose it.
    package let trueISN: UInt32
}

/// What the identification field or flow label of a SYN/ACK is.
package enum ProofFinding: Equatable, Sendable {
    /// 0, as ordinary servers send it: no proof.
    case absent
    /// A right proof.
    case explained(ProofExplanation)
    /// A number that proves nothing: of an ordinary server, or of one whose answer was changed on the way.
    case unexplained
}

extension CodeSearch {
    /// Finds what the nonce of a SYN/ACK proves.
    ///
    /// - Parameters:
    ///   - synACK: The segment.
    ///   - clientISN: `C`.
    ///   - code: What the SYN's code was, if that is known; then only the same key, mask and address can be right. A
    ///     proof has 16 bits (IPv4) or 20, so with everything to be tried, one in thousands holds by chance.
    /// - Returns: The first explanation, in the order of the keys.
    package func finding(for synACK: CapturedSegment, clientISN: UInt32, code: CodeExplanation?) -> ProofFinding {
        guard synACK.nonceField != 0 else { return .absent }
        for key in keys where code == nil || code?.key == key.name {
            for candidate in code.map({ [$0.candidate] }) ?? candidates(for: synACK.destination) {
                let handshake = Handshake(clientAddress: candidate.address, clientISN: clientISN)
                for mode in code.map({ [$0.mode] }) ?? MaskMode.allCases {
                    guard
                        let trueISN = ServerProof.verifiedISN(
                            keys: key.keys, handshake: handshake, maskedISN: synACK.sequenceNumber,
                            nonce: synACK.nonceField, mode: mode, family: synACK.source.family)
                    else { continue }
                    return .explained(
                        ProofExplanation(key: key.name, mode: mode, candidate: candidate, trueISN: trueISN))
                }
            }
        }
        return .unexplained
    }
}

/// Asks whether there is any nonce with which a sequence number would be one that a holder of the key sent.
///
/// Where only the identification field or flow label of a SYN/ACK was changed on the way, there is: the one that was
/// sent. Where the sequence number was changed, or was never masked, every possible nonce is right with a probability
/// of one in their number, so with probability 1/e, 37 %, there is none. One such SYN/ACK shows that it was changed;
/// that `count` of `count` are solvable happens by chance with probability 0.63^count.
package enum NonceSearch {
    /// Looks for a nonce; that takes up to 65,535 trials for IPv4, 1,048,575 for IPv6.
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
