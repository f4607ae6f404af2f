// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// The nonce of a SYN/ACK, which proves that its sender holds the key (docs/PROTOCOL.md §5.1).
public enum ServerProof {
    /// Computes the nonce `N` for the server's true ISN.
    ///
    /// - Parameters:
    ///   - keys: The keys.
    ///   - handshake: `A` and `C`.
    ///   - serverISN: `S`, the true ISN.
    ///   - mode: The mask that the SYN asked for.
    ///   - family: The family of the SYN/ACK.
    /// - Returns: The value of the identification field (IPv4, 1...0xffff) or flow label (IPv6, 1...0xfffff).
    public static func nonce(
        keys: KeySchedule, handshake: Handshake, serverISN: UInt32, mode: MaskMode, family: IPFamily
    ) -> UInt32 {
        let output = keys.hash(.serverProof, handshake, serverISN).finish(UInt64(mode.rawValue), length: 25)
        let nonce: UInt32
        switch family {
        case .ipv4: nonce = UInt32(truncatingIfNeeded: output >> 48)
        case .ipv6: nonce = UInt32(truncatingIfNeeded: output >> 40) & 0x000f_ffff
        }
        // An ordinary SYN/ACK from Linux carries 0.
        return nonce == 0 ? 1 : nonce
    }

    /// Recovers the true ISN from a SYN/ACK and checks its proof.
    ///
    /// - Parameters:
    ///   - keys: The keys that the server should have.
    ///   - handshake: `A` and `C`.
    ///   - maskedISN: `E`, the sequence number of the SYN/ACK.
    ///   - nonce: The value of its identification field (IPv4) or flow label (IPv6).
    ///   - mode: The mask that the SYN asked for.
    ///   - family: The family of the SYN/ACK.
    /// - Returns: `S`; nil if the proof does not hold.
    public static func verifiedISN(
        keys: KeySchedule, handshake: Handshake, maskedISN: UInt32, nonce: UInt32, mode: MaskMode, family: IPFamily
    ) -> UInt32? {
        let mask = ISNMask(keys: keys, handshake: handshake, nonce: nonce, mode: mode)
        let serverISN = mask.unmask(maskedISN)
        let expected = Self.nonce(
            keys: keys, handshake: handshake, serverISN: serverISN, mode: mode, family: family)
        return expected ^ nonce == 0 ? serverISN : nil
    }
}
