// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// Which boot of the host this is: uptimes of one mean nothing in another.
package enum Boot {
    /// The 16 bytes that the kernel has chosen for this boot (random(4)); random ones if it does not tell.
    package static let id: [UInt8] = read() ?? random()

    private static func read() -> [UInt8]? {
        var text = [UInt8](repeating: 0, count: 64)
        let path: FilePath = "/proc/sys/kernel/random/boot_id"
        guard let file = try? FileDescriptor.open(path, .readOnly, options: .closeOnExec) else { return nil }
        defer { try? file.close() }
        guard let count = unsafe try? text.withUnsafeMutableBytes({ unsafe try file.read(into: $0) })
        else { return nil }
        return bytes(text.prefix(count))
    }

    /// 16 bytes that nobody has seen before.
    package static func random() -> [UInt8] {
        (0..<16).map { _ in UInt8.random(in: 0...UInt8.max) }
    }

    /// Reads a UUID (RFC 9562 §4); nil if the text is none.
    package static func bytes(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let digits = text.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "\n") }
        guard digits.count == 32 else { return nil }
        let values = digits.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard values.count == 32 else { return nil }
        return stride(from: 0, to: 32, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
    }
}
