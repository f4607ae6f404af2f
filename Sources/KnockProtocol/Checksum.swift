// SPDX-License-Identifier: GPL-2.0-or-later

/// A checksum that detects damage: unkeyed BLAKE2b (RFC 7693) with 16 bytes of output.
///
/// It does not authenticate: anyone can compute it.
public enum Checksum {
    /// The length in bytes.
    public static let length = 16

    /// Returns the checksum of `bytes`.
    public static func compute(_ bytes: Span<UInt8>) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: length)
        var span = result.mutableSpan
        Sodium.genericHash(of: bytes, into: &span)
        return result
    }
}
