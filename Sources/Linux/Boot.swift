// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// Identifies the current boot of the host.
///
/// Uptimes cannot be compared between boots.
package enum Boot {
    /// The 16 bytes of the kernel's boot ID (random(4)); random bytes if it cannot be read.
    package static let id: [UInt8] = read() ?? random()

    private static func read() -> [UInt8]? {
        let path: FilePath = "/proc/sys/kernel/random/boot_id"
        return (try? path.content(limit: 64)).flatMap { bytes($0[...]) }
    }

    /// Returns 16 random bytes.
    package static func random() -> [UInt8] {
        (0..<16).map { _ in UInt8.random(in: 0...UInt8.max) }
    }

    /// Parses a UUID (RFC 9562 §4); nil if the text is not one.
    package static func bytes(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let digits = text.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "\n") }
        guard digits.count == 32 else { return nil }
        let values = digits.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard values.count == 32 else { return nil }
        return stride(from: 0, to: 32, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
    }
}
