// SPDX-License-Identifier: GPL-2.0-or-later

/// A checksum that damage does not pass: BLAKE2b without a key (RFC 7693), 16 bytes long.
///
/// It is no proof of who has written the bytes.
public enum Checksum {
    /// The length in bytes.
    public static let length = 16

    /// Computes the checksum.
    public static func compute(_ bytes: Span<UInt8>) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: length)
        var span = result.mutableSpan
        Sodium.genericHash(of: bytes, into: &span)
        return result
    }
}
