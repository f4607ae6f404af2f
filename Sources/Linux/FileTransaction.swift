// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
public import SystemPackage

/// Puts several new files in place, or none of them.
///
/// The content is written to temporary files in the same folders and flushed to the disk before the files get their
/// names, so that there never is a half-written file. Without a commit, all is discarded with this object.
public final class FileTransaction {
    private struct File {
        let path: FilePath
        let temporary: FilePath
        let replacing: Bool
        /// A second link to the replaced file.
        var backup: FilePath?
    }

    private var files: [File] = []
    private var madeFolders: [FilePath] = []
    private var locks: [FileDescriptor] = []
    private var isCommitted = false

    /// Creates an empty transaction.
    public init() {}

    deinit {
        if !isCommitted {
            for file in files { remove(file.temporary) }
            for folder in madeFolders.reversed() { _ = unsafe folder.withPlatformString { unsafe rmdir($0) } }
        }
        for lock in locks { try? lock.close() }
    }

    /// Creates a folder and its missing parents, with mode 0700.
    ///
    /// They are removed again unless the transaction is committed.
    public func makeFolder(_ path: FilePath) throws(FileError) {
        guard !path.isEmpty, !exists(path) else { return }
        try makeFolder(path.removingLastComponent())
        guard unsafe path.withPlatformString({ unsafe mkdir($0, 0o700) }) == 0 else {
            let reason = lastErrno()
            // Another process has just created it.
            if reason == .fileExists { return }
            throw .system(call: "mkdir", path, reason)
        }
        madeFolders.append(path)
    }

    /// Locks the folder while this object lives, after waiting for other locks to be released (flock(2)).
    public func lock(_ folder: FilePath) throws(FileError) {
        do {
            let descriptor = try FileDescriptor.open(
                folder.isEmpty ? "." : folder, .readOnly, options: [.directory, .closeOnExec])
            locks.append(descriptor)
            guard flock(descriptor.rawValue, LOCK_EX) == 0 else { throw lastErrno() }
        } catch {
            throw .system(call: "lock", folder, Errno(error))
        }
    }

    /// Writes a file under a temporary name.
    ///
    /// - Parameters:
    ///   - path: The file's final path.
    ///   - content: The bytes.
    ///   - mode: The permission bits, regardless of the umask.
    ///   - owner: The user and group; nil for those of this process.
    ///   - replacing: Whether an existing file is replaced.
    /// - Throws: `FileError`.
    public func add(
        _ path: FilePath, _ content: Span<UInt8>, mode: UInt16 = 0o600, owner: (user: UInt32, group: UInt32)? = nil,
        replacing: Bool
    ) throws(FileError) {
        if let status = try? Stat(path, followTargetSymlink: false) {
            guard replacing else { throw .alreadyExists(path) }
            guard status.type == .regular else { throw .notARegularFile(path) }
        }
        let temporary = randomName(beside: path)
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(
                temporary, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: .ownerReadWrite)
        } catch {
            throw .system(call: "create", path, Errno(error))
        }
        files.append(File(path: path, temporary: temporary, replacing: replacing))
        do {
            defer { try? file.close() }
            if let owner {
                guard fchown(file.rawValue, owner.user, owner.group) == 0 else { throw lastErrno() }
            }
            // The mode given to open is subject to the umask.
            guard fchmod(file.rawValue, mode_t(mode)) == 0 else { throw lastErrno() }
            _ = unsafe try content.withUnsafeBufferPointer { unsafe try file.writeAll(UnsafeRawBufferPointer($0)) }
            guard fsync(file.rawValue) == 0 else { throw lastErrno() }
        } catch {
            throw .system(call: "write", path, Errno(error))
        }
    }

    /// Gives all files their names, in the order in which they were added.
    ///
    /// - Throws: `FileError`. Except for `notSynchronised`, all is then as it was before.
    public func commit() throws(FileError) {
        for index in files.indices {
            do throws(FileError) {
                // The last file never has to be taken back.
                try put(index, keepingBackup: index < files.count - 1)
            } catch {
                takeBack(files.prefix(index))
                throw error
            }
        }
        isCommitted = true
        for file in files { if let backup = file.backup { remove(backup) } }
        for folder in Set(files.map { $0.path.removingLastComponent() }) { try synchronise(folder) }
    }

    private func put(_ index: Int, keepingBackup: Bool) throws(FileError) {
        let file = files[index]
        if file.replacing, keepingBackup, exists(file.path) {
            let backup = randomName(beside: file.path)
            let result = unsafe file.path.withPlatformString { from in
                unsafe backup.withPlatformString { to in unsafe link(from, to) }
            }
            guard result == 0 else { throw .system(call: "link", file.path, lastErrno()) }
            files[index].backup = backup
        }
        let result = unsafe file.temporary.withPlatformString { from in
            unsafe file.path.withPlatformString { to in
                unsafe file.replacing ? Glibc.rename(from, to) : clinux_rename_noreplace(from, to)
            }
        }
        let reason = lastErrno()
        guard result != 0 else { return }
        if let backup = files[index].backup { remove(backup) }
        throw reason == .fileExists ? .alreadyExists(file.path) : .system(call: "rename", file.path, reason)
    }

    private func takeBack(_ files: ArraySlice<File>) {
        for file in files.reversed() {
            guard let backup = file.backup else {
                remove(file.path)
                continue
            }
            _ = unsafe backup.withPlatformString { from in
                unsafe file.path.withPlatformString { to in unsafe Glibc.rename(from, to) }
            }
        }
    }

    /// Flushes a folder to the disk, so that the new names survive a power failure.
    private func synchronise(_ folder: FilePath) throws(FileError) {
        do {
            let descriptor = try FileDescriptor.open(
                folder.isEmpty ? "." : folder, .readOnly, options: [.directory, .closeOnExec])
            defer { try? descriptor.close() }
            guard fsync(descriptor.rawValue) == 0 else { throw lastErrno() }
        } catch Errno.permissionDenied {
            // The folder is writable but not readable. The files are in place all the same.
        } catch {
            throw .notSynchronised(folder: folder, Errno(error))
        }
    }
}

/// Returns an unused name.
///
/// Files left by an earlier process with the same ID must not be in the way.
private func randomName(beside path: FilePath) -> FilePath {
    FilePath("\(path).\(String(UInt64.random(in: 0...UInt64.max), radix: 16)).tmp")
}

private func exists(_ path: FilePath) -> Bool {
    (try? Stat(path, followTargetSymlink: false)) != nil
}

private func remove(_ path: FilePath) {
    unsafe path.withPlatformString { name in _ = unsafe unlink(name) }
}

private func lastErrno() -> Errno { Errno(rawValue: Glibc.errno) }
