// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

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
