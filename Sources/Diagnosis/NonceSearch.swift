// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

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
