// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
public import KnockProtocol
internal import Linux
internal import SystemPackage

/// The content of a key file in locked memory, and the keys derived from it.
public struct KeyMaterial: Sendable {
    /// The keys.
    public let keys: KeySchedule
    private let content: Secret

    /// Derives the keys from the 65,536 bytes of a key file.
    init(_ content: Secret) throws(KeyFileError) {
        self.content = content
        do throws(OutOfMemory) {
            keys = try content.withBytes { bytes throws(OutOfMemory) in try KeySchedule(material: bytes) }
        } catch {
            throw .outOfMemory
        }
    }

    /// Generates a new key.
    ///
    /// - Returns: The key.
    /// - Throws: `KeyFileError.outOfMemory`, or the error of getrandom(2).
    public static func random() throws(KeyFileError) -> KeyMaterial {
        let content = try Secret(count: KeyFile.length) { content throws(KeyFileError) in
            try fillWithRandom(&content)
        }
        guard let content else { throw .outOfMemory }
        return try KeyMaterial(content)
    }

    /// Calls the body with the bytes of the key file.
    ///
    /// The body must wipe any copies.
    public func withBytes<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try content.withBytes(body)
    }

    private static func fillWithRandom(_ content: inout MutableSpan<UInt8>) throws(KeyFileError) {
        var filled = 0
        while filled < content.count {
            var rest = content._mutatingExtracting(filled..<content.count)
            let count = unsafe rest.withUnsafeMutableBytes { bytes in
                uninterrupted { unsafe clinux_getrandom(bytes.baseAddress, bytes.count) }
            }
            guard count > 0 else { throw .system(call: "getrandom", path: "", Errno(rawValue: Glibc.errno)) }
            filled += count
        }
    }
}
