// SPDX-License-Identifier: GPL-2.0-or-later
internal import DaemonCore
internal import Glibc
internal import Linux
internal import SystemPackage

/// The folder with the state file of one daemon.
///
/// It is locked while this object lives.
///
/// Files are opened relative to the folder's descriptor, so that a daemon that has changed its user still finds them.
final class StateFolder: Sendable {
    /// The longest acceptable file, in bytes.
    ///
    /// See `StateFile` for how long a file can become.
    static let longestFile = 512 << 20
    /// The number of bytes read at a time.
    private static let portion = 256 * 1024
    /// The time to wait for a daemon that has just been ended to release its lock, in milliseconds.
    private static let patience = 1000

    /// The reason why a file must not be read.
    enum Distrust: Error, Equatable, CustomStringConvertible {
        /// A system call failed.
        case system(SystemError)
        /// It is not a regular file, belongs to somebody else, or is readable or writable by others.
        case accessible(owner: UInt32, mode: UInt32)
        /// It is longer than `longestFile`.
        case tooLong(Int)

        var description: String {
            switch self {
            case .system(let error): error.description
            case .accessible(let owner, let mode):
                "it is not a file of the daemon's own: owner \(owner), mode \(String(mode, radix: 8))"
            case .tooLong(let length): "it is \(length) bytes long, and none is longer than \(longestFile)"
            }
        }
    }

    /// The path of the folder.
    let path: FilePath
    private let name: String
    private let owner: UInt32
    private let folder: Int32
    private let lock: Int32

    /// Opens the folder, creates it with mode 0700 if it is missing, and locks the state file in it.
    ///
    /// - Parameters:
    ///   - path: The folder. Its parent must exist.
    ///   - name: The name of the file. All files whose names begin with it are the daemon's.
    ///   - identity: The user that the daemon will become, which is made the owner of the folder and its files; nil if
    ///     it keeps its user.
    /// - Throws: What is wrong with the folder: it must belong to root or the daemon's user, and must not be writable
    ///   by others.
    init(_ path: FilePath, name: String, identity: Identity?) throws(SystemError) {
        self.path = path
        self.name = name
        owner = identity?.user ?? geteuid()
        if unsafe path.withPlatformString({ unsafe mkdir($0, 0o700) }) != 0, errno != EEXIST {
            throw SystemError("mkdir \(path)")
        }
        let folder = unsafe path.withPlatformString { unsafe open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard folder >= 0 else { throw SystemError("open \(path)") }
        do throws(SystemError) {
            try Self.examine(folder, path, owner)
            // O_NOFOLLOW, because a previous owner of the folder may have left a symbolic link.
            let lock = unsafe openat(folder, "\(name).lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard lock >= 0 else { throw SystemError("create \(path)/\(name).lock") }
            guard Self.acquire(lock) else {
                close(lock)
                throw SystemError("another daemon keeps its state in \(path)/\(name)", EBUSY)
            }
            self.lock = lock
        } catch {
            close(folder)
            throw error
        }
        self.folder = folder
        if let identity { hand(to: identity) }
    }

    deinit {
        close(lock)
        close(folder)
    }

    private static func examine(_ folder: Int32, _ path: FilePath, _ owner: UInt32) throws(SystemError) {
        var status = stat()
        guard unsafe fstat(folder, &status) == 0 else { throw SystemError("stat \(path)") }
        let (user, mode) = (status.st_uid, status.st_mode & 0o7777)
        guard user == 0 || user == owner else {
            throw SystemError("\(path) belongs to user \(user), not to root or user \(owner); chown it", EPERM)
        }
        guard mode & 0o022 == 0 else {
            throw SystemError("others may write in \(path); chmod go-w \(path)", EPERM)
        }
    }

    private static func acquire(_ lock: Int32) -> Bool {
        for _ in 0..<patience / 20 {
            if flock(lock, LOCK_EX | LOCK_NB) == 0 { return true }
            usleep(20_000)
        }
        return false
    }

    /// Changes the owner of the folder and the file to the daemon's user.
    ///
    /// Both belong to root or to that user already.
    private func hand(to identity: Identity) {
        fchown(folder, identity.user, identity.group)
        fchown(lock, identity.user, identity.group)
        let file = unsafe openat(folder, fileName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0)
        guard file >= 0 else { return }
        defer { close(file) }
        var status = stat()
        // If the file had a second link, this would change the owner of a file elsewhere.
        guard unsafe fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1,
            status.st_uid == 0
        else { return }
        fchown(file, identity.user, identity.group)
    }

    // MARK: The file

    private var fileName: String { "\(name).state" }
    private var newName: String { "\(name).state.new" }
    private var damagedName: String { "\(name).state.damaged" }

    /// The path of the file.
    var file: FilePath { path.appending(fileName) }
    /// The path of a damaged file that was set aside.
    var damagedFile: FilePath { path.appending(damagedName) }

    /// Opens the file; nil if there is none.
    ///
    /// - Returns: The descriptor, to be closed by the caller.
    /// - Throws: The reason why the file cannot be trusted or opened.
    func openFile() throws(Distrust) -> FileDescriptor? {
        let file = unsafe openat(folder, fileName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw .system(SystemError("open"))
        }
        do throws(Distrust) { try examine(file) } catch {
            close(file)
            throw error
        }
        return FileDescriptor(rawValue: file)
    }

    private func examine(_ file: Int32) throws(Distrust) {
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { throw .system(SystemError("stat")) }
        let (user, mode, length) = (status.st_uid, status.st_mode, Int(status.st_size))
        guard mode & S_IFMT == S_IFREG, mode & 0o077 == 0, user == owner || user == geteuid() || user == 0 else {
            throw .accessible(owner: user, mode: mode & 0o7777)
        }
        guard length <= Self.longestFile else { throw .tooLong(length) }
    }

    /// Returns an input that reads the file in parts from its beginning.
    static func input(_ file: FileDescriptor) -> StateInput {
        var offset = 0
        return StateInput { bytes throws(SystemError) in
            do throws(Errno) {
                bytes = try file.content(from: offset, limit: portion)
            } catch {
                throw SystemError("read", error.rawValue)
            }
            offset += bytes.count
        }
    }

    /// Renames the file for later inspection, replacing one that was set aside before.
    func setAside() throws(SystemError) {
        guard unsafe renameat(folder, fileName, folder, damagedName) == 0 else { throw SystemError("rename") }
    }

    /// Creates a new file with mode 0600 under a temporary name, and deletes that of an earlier attempt.
    ///
    /// - Returns: The descriptor.
    func begin() throws(SystemError) -> Int32 {
        _ = unsafe unlinkat(folder, newName, 0)
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND
        let file = unsafe openat(folder, newName, flags, 0o600)
        guard file >= 0 else { throw SystemError("create") }
        // The first file is created before the daemon changes its user.
        if owner != geteuid() { fchown(file, owner, gid_t.max) }
        return file
    }

    /// Renames the new file to the name of the state file.
    func put() throws(SystemError) {
        guard unsafe renameat(folder, newName, folder, fileName) == 0 else { throw SystemError("rename") }
    }

    /// Deletes the new file.
    func discard() { _ = unsafe unlinkat(folder, newName, 0) }

    /// Flushes the folder to the disk, so that the renaming survives a power failure.
    func synchronise() { fsync(folder) }
}
