// SPDX-License-Identifier: GPL-2.0-or-later
internal import CSodium

/// The functions of libsodium that the protocol is made of, over spans.
enum Sodium {
    /// BLAKE2b without a key; fills `output`, whose length (16...64 bytes) is part of the function.
    static func genericHash(of input: Span<UInt8>, into output: inout MutableSpan<UInt8>) {
        unsafe output.withUnsafeMutableBufferPointer { output in
            unsafe input.withUnsafeBufferPointer { input in
                guard let to = output.baseAddress else { return }
                unsafe crypto_generichash(to, output.count, input.baseAddress, UInt64(input.count), nil, 0)
            }
        }
    }

    /// `crypto_kdf_derive_from_key`: fills `subkey` (16...64 bytes).
    ///
    /// - Parameters:
    ///   - id: The subkey's number.
    ///   - context: Eight ASCII characters; others trap.
    ///   - master: 32 bytes; others trap.
    ///   - subkey: Where the subkey goes.
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
}
