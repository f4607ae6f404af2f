// SPDX-License-Identifier: GPL-2.0-or-later
internal import CSodium
internal import Wire

/// The subkeys derived from a key file (docs/PROTOCOL.md §3).
public final class KeySchedule: Sendable {
    /// The purpose of a subkey; the raw value is its id in the derivation.
    enum Purpose: UInt64, CaseIterable {
        case synCode = 1
        case isnMask = 2
        case serverProof = 3
        case fingerprint = 4
        case hint = 5

        /// The position of the subkey in `subkeys`.
        @inline(__always)
        var range: Range<Int> {
            let start = (Int(rawValue) - 1) * KeySchedule.subkeyLength
            return start..<start + KeySchedule.subkeyLength
        }
    }

    /// The length of a key file in bytes (docs/PROTOCOL.md §3).
    public static let materialLength = 65_536

    /// The length of a subkey in bytes: that of a SipHash key.
    private static let subkeyLength = 16

    /// All subkeys, concatenated.
    private let subkeys: Secret

    /// Derives the subkeys from the content of a key file.
    ///
    /// - Parameter material: The 65,536 bytes of the file.
    /// - Throws: `OutOfMemory` if no locked memory is available.
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

    /// The fingerprint that shows whether two hosts have the same key file: 32 hexadecimal digits in groups of four.
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

    /// Passes the 16 bytes of `k1` to `body`, for the code that computes SYN codes in the kernel; copies must be wiped.
    public func withSYNCodeKey<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try subkeys.withBytes { subkeys throws(Failure) in try body(subkeys.extracting(Purpose.synCode.range)) }
    }

    /// Starts a SipHash-2-4 computation with a subkey.
    @inline(__always)
    func hash(_ purpose: Purpose) -> SipHash {
        let offset = purpose.range.lowerBound
        return subkeys.withBytes { bytes in
            SipHash(low: bytes.uint64(at: offset).byteSwapped, high: bytes.uint64(at: offset + 8).byteSwapped)
        }
    }

    /// Starts a SipHash-2-4 computation with a subkey and the first 24 bytes of the message.
    ///
    /// - Parameters:
    ///   - purpose: The subkey.
    ///   - handshake: `A` and `C`, with which all messages begin.
    ///   - next: The next four bytes, read in network byte order.
    /// - Returns: The hash state after these 24 bytes.
    @inline(__always)
    func hash(_ purpose: Purpose, _ handshake: Handshake, _ next: UInt32) -> SipHash {
        var hash = hash(purpose)
        hash.absorb(handshake.clientAddress.high.byteSwapped)
        hash.absorb(handshake.clientAddress.low.byteSwapped)
        hash.absorb(UInt64(next.byteSwapped) << 32 | UInt64(handshake.clientISN.byteSwapped))
        return hash
    }
}
