// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
public import Linux
public import SystemPackage

/// A text file for carrying a key from a server to a client: settings, and the key in base64 (RFC 4648 §4).
///
/// The file is TOML: the head, which this type does not interpret, and a multi-line string named `key`. The key is
/// never stored in unlocked memory.
public struct KeyBundle: Sendable {
    /// The longest head, in bytes.
    public static let maximumHead = 4096
    /// The longest file, in bytes.
    ///
    /// The key takes 88,534 of them.
    static let maximumLength = 128 * 1024

    private static let opening = Array("\nkey = \"\"\"\n".utf8)
    private static let closing = Array("\"\"\"\n".utf8)
    private static let lineLength = 76

    /// The text before the key, without its last newline.
    public let head: [UInt8]
    /// The key.
    public let key: KeyMaterial

    /// Creates a bundle from a head and a key.
    public init(head: String, key: KeyMaterial) {
        self.head = Array(head.utf8)
        self.key = key
    }

    private init(head: [UInt8], key: KeyMaterial) {
        self.head = head
        self.key = key
    }

    // MARK: Writing

    /// Adds the file to a transaction, with mode 0600.
    public func add(to transaction: FileTransaction, at path: FilePath) throws(FileError) {
        guard let text = text() else { throw .system(call: "write", path, .noMemory) }
        try text.withBytes { text throws(FileError) in try transaction.add(path, text, replacing: false) }
    }

    private func text() -> Secret? {
        guard let digits = Self.encode(key) else { return nil }
        // The last byte is the terminating zero of a C string.
        let count = digits.count - 1
        let lines = (count + Self.lineLength - 1) / Self.lineLength
        let length = head.count + Self.opening.count + count + lines + Self.closing.count
        return Secret(count: length) { text in
            var position = 0
            func put(_ byte: UInt8, _ text: inout MutableSpan<UInt8>) {
                text[position] = byte
                position += 1
            }
            for byte in head + Self.opening { put(byte, &text) }
            digits.withBytes { digits in
                for index in 0..<count {
                    put(digits[index], &text)
                    if (index + 1).isMultiple(of: Self.lineLength) || index == count - 1 {
                        put(UInt8(ascii: "\n"), &text)
                    }
                }
            }
            for byte in Self.closing { put(byte, &text) }
        }
    }

    private static func encode(_ key: KeyMaterial) -> Secret? {
        key.withBytes { key in
            Secret(count: Sodium.base64Length(of: key.count)) { digits in
                Sodium.encodeBase64(key, into: &digits)
            }
        }
    }

    // MARK: Reading

    /// Reads a bundle from an untrusted source.
    ///
    /// - Returns: The bundle.
    /// - Throws: `FatalError` if the file is missing, not a regular file, a link, accessible by others, or too long, or
    ///   if it does not contain a key of the right length.
    public static func read(_ path: FilePath) throws(FatalError) -> KeyBundle {
        do throws(KeyFileError) {
            let text = try KeyFile.readSecret(path, lengths: 1...maximumLength, following: false)
            return try text.withBytes { text throws(KeyFileError) in try parse(text, path) }
        } catch {
            throw explanation(of: error, "bundle \(path)", path)
        }
    }

    private static func explanation(of error: KeyFileError, _ place: String, _ path: FilePath) -> FatalError {
        func malformed(_ finding: String) -> FatalError {
            FatalError(
                finding, at: place, cure: "was it copied completely? 'keygen --bundle' on the server makes one",
                status: .wrongData)
        }
        return switch error {
        case .system("open", _, .tooManySymbolicLinkLevels), .notARegularFile:
            FatalError("not a regular file", at: place, status: .wrongData)
        case .system(let call, _, let errno): FatalError(call, errno, at: place)
        case .accessibleByOthers(_, let mode):
            FatalError(
                "group or others may read or write it (mode 0\(String(mode, radix: 8))), and the key is in it",
                at: place,
                cure: "if nobody has read it, 'chmod 600 \(path)', else make a new one on the server",
                status: .noPermission)
        case .wrongLength(_, let length): malformed("\(length) bytes are not a bundle")
        case .notRandom: malformed("there is no whole key in it")
        case .alreadyExists, .notSynchronised, .foreign, .outOfMemory: KeyFileError.outOfMemory.fatal
        }
    }

    /// Parses the text of a bundle.
    ///
    /// All errors in it are reported as `notRandom`.
    static func parse(_ text: Span<UInt8>, _ path: FilePath) throws(KeyFileError) -> KeyBundle {
        guard let start = firstIndex(of: opening, in: text, limit: maximumHead) else { throw .notRandom(path) }
        let head = (0..<start).map { text[$0] }
        let body = text.extracting((start + opening.count)..<text.count)
        guard body.count > closing.count else { throw .notRandom(path) }
        let end = body.count - closing.count
        for index in closing.indices where body[end + index] != closing[index] { throw .notRandom(path) }
        let content = try decode(body.extracting(0..<end), path)
        guard !content.withBytes(KeyFile.isConstant) else { throw .notRandom(path) }
        return KeyBundle(head: head, key: try KeyMaterial(content))
    }

    private static func firstIndex(of pattern: [UInt8], in text: Span<UInt8>, limit: Int) -> Int? {
        guard text.count >= pattern.count else { return nil }
        return (0...min(limit, text.count - pattern.count)).first { start in
            pattern.indices.allSatisfy { text[start + $0] == pattern[$0] }
        }
    }

    private static func decode(_ digits: Span<UInt8>, _ path: FilePath) throws(KeyFileError) -> Secret {
        let key = try Secret(count: KeyFile.length) { key throws(KeyFileError) in
            guard Sodium.decodeBase64(digits, into: &key) else { throw .notRandom(path) }
        }
        guard let key else { throw .outOfMemory }
        return key
    }
}
