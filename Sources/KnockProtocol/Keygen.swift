// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
package import SystemPackage

/// Makes key files.
package enum Keygen {
    /// Writes a new key file with mode 0600 and returns its keys.
    ///
    /// The bytes go to a temporary file beside it, are synchronised to the disk, and get their name only then: at no
    /// time is there a half-written key under `path`.
    ///
    /// - Parameters:
    ///   - path: Where the key is to be.
    ///   - replacing: Whether a file that is already there is replaced.
    /// - Returns: The keys of the new file.
    /// - Throws: `KeyFileError`; then `path` is as it was before, and the temporary file is gone.
    package static func write(_ path: FilePath, replacing: Bool) throws(KeyFileError) -> KeySchedule {
        if !replacing, exists(path) { throw .alreadyExists(path) }
        if replacing, let status = try? Stat(path, followTargetSymlink: false), status.type != .regular {
            throw .notARegularFile(path)
        }
        let content = try Secret(count: KeyFile.length) { content throws(KeyFileError) in
            try fillWithRandom(&content, for: path)
        }
        let temporary = try writeTemporary(content, beside: path)
        try rename(temporary, to: path, replacing: replacing)
        try synchroniseFolder(of: path)
        return try KeyFile.read(path)
    }

    private static func exists(_ path: FilePath) -> Bool {
        (try? Stat(path, followTargetSymlink: false)) != nil
    }

    private static func fillWithRandom(_ content: inout MutableSpan<UInt8>, for path: FilePath) throws(KeyFileError) {
        var filled = 0
        while filled < content.count {
            var rest = content._mutatingExtracting(filled..<content.count)
            let count = unsafe rest.withUnsafeMutableBytes { unsafe clinux_getrandom($0.baseAddress, $0.count) }
            let reason = lastErrno()
            if count > 0 {
                filled += count
            } else if reason != .interrupted {
                throw .system(call: "getrandom", path: path, reason)
            }
        }
    }

    /// Writes the content to a new file in the folder of `path` and synchronises it; leaves nothing behind if it fails.
    private static func writeTemporary(_ content: Secret, beside path: FilePath) throws(KeyFileError) -> FilePath {
        let temporary = FilePath("\(path).\(getpid()).tmp")
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(
                temporary, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: .ownerReadWrite)
        } catch {
            throw .system(call: "create", path: path, errno(of: error))
        }
        do {
            defer { try? file.close() }
            // The mode given to open is subject to the umask.
            guard fchmod(file.rawValue, 0o600) == 0 else { throw lastErrno() }
            _ = try content.withBytes { bytes in
                unsafe try bytes.withUnsafeBufferPointer { unsafe try file.writeAll(UnsafeRawBufferPointer($0)) }
            }
            guard fsync(file.rawValue) == 0 else { throw lastErrno() }
        } catch {
            removeTemporary(temporary)
            throw .system(call: "write", path: temporary, errno(of: error))
        }
        return temporary
    }

    private static func removeTemporary(_ path: FilePath) {
        unsafe path.withPlatformString { name in _ = unsafe unlink(name) }
    }

    private static func rename(
        _ temporary: FilePath, to path: FilePath, replacing: Bool
    ) throws(KeyFileError) {
        let result = unsafe temporary.withPlatformString { from in
            unsafe path.withPlatformString { to in
                unsafe replacing ? Glibc.rename(from, to) : clinux_rename_noreplace(from, to)
            }
        }
        let reason = lastErrno()
        guard result != 0 else { return }
        removeTemporary(temporary)
        if reason == .fileExists { throw .alreadyExists(path) }
        throw .system(call: "rename", path: path, reason)
    }

    /// Makes the new name itself survive a power failure.
    private static func synchroniseFolder(of path: FilePath) throws(KeyFileError) {
        let folder = path.removingLastComponent()
        do {
            let descriptor = try FileDescriptor.open(
                folder.isEmpty ? "." : folder, .readOnly, options: [.directory, .closeOnExec])
            defer { try? descriptor.close() }
            guard fsync(descriptor.rawValue) == 0 else { throw lastErrno() }
        } catch Errno.permissionDenied {
            // A folder that may be written but not read: the key is in place all the same.
        } catch {
            throw .system(call: "fsync", path: folder, errno(of: error))
        }
    }

    private static func lastErrno() -> Errno { Errno(rawValue: Glibc.errno) }
}
