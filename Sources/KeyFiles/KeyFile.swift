// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol
public import Linux
public import SystemPackage

/// The file that both hosts share: 65,536 random bytes (docs/PROTOCOL.md §3).
public enum KeyFile {
    /// The exact length, in bytes.
    public static let length = KeySchedule.materialLength

    /// Reads a key file, checks that it can be trusted, and derives the keys.
    ///
    /// The content is wiped afterwards.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - owners: The IDs of the users that may own the file; nil for any user.
    ///   - opening: Opens the file for reading.
    /// - Returns: The keys.
    /// - Throws: `KeyFileError` if the file is missing, not a regular file, owned by another user, accessible by
    ///   others, of the wrong length, or obviously not random.
    public static func read(
        _ path: FilePath, owners: [UInt32]? = nil, opening: FileOpening.Way = FileOpening.open
    ) throws(KeyFileError) -> KeySchedule {
        let content = try readSecret(
            path, lengths: length...length, following: true, owners: owners, opening: opening)
        guard !content.withBytes(isConstant) else { throw .notRandom(path) }
        return try KeyMaterial(content).keys
    }

    /// Reads a whole file into locked memory, provided that nobody else may read or write it.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - lengths: The permitted lengths, in bytes; at least 1.
    ///   - following: Whether the file may be a symbolic link.
    ///   - owners: The IDs of the users that may own the file; nil for any user.
    ///   - opening: Opens the file for reading.
    /// - Returns: The bytes.
    /// - Throws: `KeyFileError`, except `notRandom`.
    static func readSecret(
        _ path: FilePath, lengths: ClosedRange<Int>, following: Bool, owners: [UInt32]? = nil,
        opening: FileOpening.Way = FileOpening.open
    ) throws(KeyFileError) -> Secret {
        let file: FileDescriptor
        do throws(Errno) {
            // Without nonBlocking, opening a pipe would wait for a writer before it can be refused.
            let options: FileDescriptor.OpenOptions = [.closeOnExec, .nonBlocking]
            file = try opening(path, following ? options : options.union(.noFollow))
        } catch {
            throw .system(call: "open", path: path, error)
        }
        defer { try? file.close() }

        let status: Stat
        do {
            status = try Stat(file)
        } catch {
            throw .system(call: "fstat", path: path, error)
        }
        guard status.type == .regular else { throw .notARegularFile(path) }
        let owner = UInt32(status.userID.rawValue)
        if let owners, !owners.contains(owner) { throw .foreign(path, owner: owner) }
        let permissions = UInt16(truncatingIfNeeded: status.permissions.rawValue) & 0o7777
        guard permissions & 0o066 == 0 else { throw .accessibleByOthers(path, mode: permissions) }
        guard let size = Int(exactly: status.size), lengths.contains(size) else {
            throw .wrongLength(path, Int64(status.size))
        }
        let secret = try Secret(count: size) { content throws(KeyFileError) in
            let count: Int
            do throws(Errno) { count = try file.fill(&content) } catch {
                throw .system(call: "read", path: path, error)
            }
            guard count == size else { throw .wrongLength(path, Int64(count)) }
        }
        guard let secret else { throw .outOfMemory }
        return secret
    }

    static func isConstant(_ bytes: Span<UInt8>) -> Bool {
        !bytes.indices.contains { bytes[$0] != bytes[0] }
    }
}
