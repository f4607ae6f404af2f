// SPDX-License-Identifier: GPL-2.0-or-later
internal import CSodium
internal import Wire

/// The subkeys of one key file (docs/PROTOCOL.md §3).
public final class KeySchedule: Sendable {
    /// What a subkey is for; the raw value is its id in the derivation.
    enum Purpose: UInt64, CaseIterable {
        case synCode = 1
        case isnMask = 2
        case serverProof = 3
        case fingerprint = 4
        case hint = 5

        /// Where the subkey lies among all.
        @inline(__always)
        var range: Range<Int> {
            let start = (Int(rawValue) - 1) * KeySchedule.subkeyLength
            return start..<start + KeySchedule.subkeyLength
        }
    }

    /// How many random bytes the keys are made from (docs/PROTOCOL.md §3).
    public static let materialLength = 65_536

    /// The length of a subkey in bytes, which is that of a SipHash key.
    private static let subkeyLength = 16

    /// All subkeys, one behind the other.
    private let subkeys: Secret

    /// Derives the subkeys from the content of a key file.
    ///
    /// - Parameter material: The 65,536 bytes of the file.
    /// - Throws: That there is no locked memory.
    public init(material: Span<UInt8>) throws(OutOfMemory) {
        let master = Secret(count: Int(crypto_kdf_KEYBYTES)) { master in
            Sodium.genericHash(of: material, into: &master)
        }
        guard let master else { throw OutOfMemory() }
        let subkeys = Secret(count: Purpose.allCases.count * Self.subkeyLength) { subkeys in
            for purpose in Purpose.allCases {
                var subkey = subkeys._mutatingExtracting(purpose.range)
                master.withBytes { master in
                    Sodium.deriveKey(id: purpose.rawValue, context: "tcpknock", master: master, into: &subkey)
                }
            }
        }
        guard let subkeys else { throw OutOfMemory() }
        self.subkeys = subkeys
    }

    /// What two hosts compare to know that they hold the same file: 32 hexadecimal digits in groups of four.
    public var fingerprint: String {
        let digits = Array("0123456789abcdef")
        return subkeys.withBytes { subkeys in
            var text = ""
            for (position, index) in Purpose.fingerprint.range.enumerated() {
                if position > 0, position.isMultiple(of: 2) { text.append("-") }
                text.append(digits[Int(subkeys[index] >> 4)])
                text.append(digits[Int(subkeys[index] & 15)])
            }
            return text
        }
    }

    /// Lends the 16 bytes of `k1` to what computes SYN codes elsewhere, in the kernel; copies must be wiped.
    public func withSYNCodeKey<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try subkeys.withBytes { subkeys throws(Failure) in try body(subkeys.extracting(Purpose.synCode.range)) }
    }

    /// Starts SipHash-2-4 with a subkey.
    @inline(__always)
    func hash(_ purpose: Purpose) -> SipHash {
        let offset = purpose.range.lowerBound
        return subkeys.withBytes { bytes in
            SipHash(low: bytes.uint64(at: offset).byteSwapped, high: bytes.uint64(at: offset + 8).byteSwapped)
        }
    }

    /// Starts SipHash-2-4 with a subkey on `A | C`, with which all hashed messages begin, and the four bytes behind it.
    ///
    /// - Parameters:
    ///   - purpose: What is computed.
    ///   - handshake: `A` and `C`.
    ///   - next: The four bytes that follow, read in network order.
    /// - Returns: What has taken in the first 24 bytes.
    @inline(__always)
    func hash(_ purpose: Purpose, _ handshake: Handshake, _ next: UInt32) -> SipHash {
        var hash = hash(purpose)
        hash.absorb(handshake.clientAddress.high.byteSwapped)
        hash.absorb(handshake.clientAddress.low.byteSwapped)
        hash.absorb(UInt64(next.byteSwapped) << 32 | UInt64(handshake.clientISN.byteSwapped))
        return hash
    }
}
