// SPDX-License-Identifier: GPL-2.0-or-later
internal import CSodium

/// The libsodium functions that the protocol uses, on spans.
package enum Sodium {
    /// Computes unkeyed BLAKE2b; the output depends on the length of `output` (16...64 bytes), which is filled.
    static func genericHash(of input: Span<UInt8>, into output: inout MutableSpan<UInt8>) {
        unsafe output.withUnsafeMutableBufferPointer { output in
            unsafe input.withUnsafeBufferPointer { input in
                guard let to = output.baseAddress else { return }
                unsafe crypto_generichash(to, output.count, input.baseAddress, UInt64(input.count), nil, 0)
            }
        }
    }

    /// Derives a subkey with `crypto_kdf_derive_from_key`.
    ///
    /// - Parameters:
    ///   - id: The subkey's number.
    ///   - context: Eight ASCII characters; any other length traps.
    ///   - master: 32 bytes; any other length traps.
    ///   - subkey: Filled with the subkey (16...64 bytes).
    static func deriveKey(
        id: UInt64, context: StaticString, master: Span<UInt8>, into subkey: inout MutableSpan<UInt8>
    ) {
        precondition(context.utf8CodeUnitCount == Int(crypto_kdf_CONTEXTBYTES) && context.hasPointerRepresentation)
        precondition(master.count == Int(crypto_kdf_KEYBYTES))
        unsafe subkey.withUnsafeMutableBufferPointer { subkey in
            unsafe master.withUnsafeBufferPointer { master in
                guard let to = subkey.baseAddress, let from = master.baseAddress else { return }
                unsafe context.utf8Start.withMemoryRebound(to: CChar.self, capacity: context.utf8CodeUnitCount) {
                    _ = unsafe crypto_kdf_derive_from_key(to, subkey.count, id, $0, from)
                }
            }
        }
    }

    /// Returns the length of `count` bytes in base64, including the terminating zero.
    package static func base64Length(of count: Int) -> Int { sodium_base64_encoded_len(count, base64) }

    /// Encodes bytes in base64 (RFC 4648 §4) with a terminating zero; `text` must have the length `base64Length`
    /// returns.
    package static func encodeBase64(_ bytes: Span<UInt8>, into text: inout MutableSpan<UInt8>) {
        precondition(text.count == base64Length(of: bytes.count))
        unsafe text.withUnsafeMutableBytes { text in
            unsafe bytes.withUnsafeBufferPointer { bytes in
                guard let to = unsafe text.baseAddress?.assumingMemoryBound(to: CChar.self) else { return }
                _ = unsafe sodium_bin2base64(to, text.count, bytes.baseAddress, bytes.count, base64)
            }
        }
    }

    /// Decodes base64, which may contain newlines; returns false unless it is valid and fills `bytes` exactly.
    package static func decodeBase64(_ text: Span<UInt8>, into bytes: inout MutableSpan<UInt8>) -> Bool {
        // libsodium takes some bytes beyond ASCII for digits.
        guard text.indices.allSatisfy({ text[$0] < 0x80 }) else { return false }
        var length = 0
        let result = unsafe bytes.withUnsafeMutableBufferPointer { bytes in
            unsafe text.withUnsafeBytes { text -> Int32 in
                guard let from = unsafe text.baseAddress?.assumingMemoryBound(to: CChar.self),
                    let to = bytes.baseAddress
                else { return -1 }
                return unsafe sodium_base642bin(to, bytes.count, from, text.count, "\n", &length, nil, base64)
            }
        }
        return result == 0 && length == bytes.count
    }

    private static let base64 = sodium_base64_VARIANT_ORIGINAL
}
