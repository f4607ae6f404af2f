// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// The nonce of a SYN/ACK, which proves that its sender holds the key (docs/PROTOCOL.md §5.1).
public enum ServerProof {
    /// Computes `N` for the true ISN of the server.
    ///
    /// - Returns: 1...0xffff for IPv4, 1...0xfffff for IPv6: the value of the identification field or flow label.
    public static func nonce(
        keys: KeySchedule, handshake: Handshake, serverISN: UInt32, mode: MaskMode, family: IPFamily
    ) -> UInt32 {
        let output = keys.hash(.serverProof, handshake, serverISN).finish(UInt64(mode.rawValue), length: 25)
        let nonce: UInt32
        switch family {
        case .ipv4: nonce = UInt32(truncatingIfNeeded: output >> 48)
        case .ipv6: nonce = UInt32(truncatingIfNeeded: output >> 40) & 0x000f_ffff
        }
        // 0 is what an ordinary Linux SYN/ACK carries.
        return nonce == 0 ? 1 : nonce
    }

    /// Recovers the true ISN from a SYN/ACK and checks the proof over it.
    ///
    /// - Parameters:
    ///   - keys: The keys that the server should have.
    ///   - handshake: What is known from the SYN.
    ///   - maskedISN: `E`, the sequence number of the SYN/ACK.
    ///   - nonce: The value of its identification field (IPv4) or flow label (IPv6).
    ///   - mode: The mask that the SYN asked for.
    ///   - family: The family of the SYN/ACK.
    /// - Returns: `S` if a holder of the key sent this, else nil.
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
