// SPDX-License-Identifier: GPL-2.0-or-later
internal import DaemonCore
internal import Glibc
internal import KeyFiles
internal import Linux
internal import SystemPackage

/// The folder with the state file of one daemon, which nobody else uses while this object lives.
///
/// Files are named from the open folder, so that they are found again by a daemon that has become another user.
final class StateFolder: Sendable {
    /// A longer file is none of ours, in bytes; see `StateFile` for how long one can become.
    static let longestFile = 512 << 20
    /// So much of a file is read at a time, in bytes.
    private static let portion = 256 * 1024
    /// How long an earlier daemon that was just ended may take to let go of the folder, in milliseconds.
    private static let patience = 1000

    /// Why a file is not to be read.
    enum Distrust: Error, Equatable, CustomStringConvertible {
        /// A system call failed.
        case system(SystemError)
        /// It is no regular file, somebody else's, or others may read or write it.
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

    /// Where it is.
    let path: FilePath
    private let name: String
    private let owner: UInt32
    private let folder: Int32
    private let lock: Int32

    /// Opens the folder, makes it with mode 0700 if it is missing, and locks the state file in it.
    ///
    /// - Parameters:
    ///   - path: The folder. What is above it must be there.
    ///   - name: The file's name; others that begin with it belong to it.
    ///   - identity: Whom the daemon will become, to whom folder and files are given; nil if it stays who it is.
    /// - Throws: What is wrong with it: it must belong to the daemon's user or root, and be writable for nobody else.
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
            // O_NOFOLLOW: whoever the folder belonged to before may have left a link.
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

    /// Gives the folder and the file, both of which are root's or the user's already, to the user.
    private func hand(to identity: Identity) {
        fchown(folder, identity.user, identity.group)
        fchown(lock, identity.user, identity.group)
        let file = unsafe openat(folder, fileName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0)
        guard file >= 0 else { return }
        defer { close(file) }
        var status = stat()
        // A second name of it would make a file elsewhere the user's.
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
    /// The path of the one that was set aside.
    var damagedFile: FilePath { path.appending(damagedName) }

    /// Opens the file; nil if there is none.
    ///
    /// - Returns: Its descriptor, to be closed.
    /// - Throws: Why it is not to be trusted, or cannot be read.
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

    /// Reads a file from its beginning, some of it at a time.
    static func input(_ file: FileDescriptor) -> StateInput {
        var offset = 0
        return StateInput { bytes throws(SystemError) in
            bytes.append(contentsOf: repeatElement(0, count: portion))
            let count = unsafe bytes.withUnsafeMutableBytes { bytes in
                uninterrupted { unsafe pread(file.rawValue, bytes.baseAddress, bytes.count, offset) }
            }
            guard count >= 0 else { throw SystemError("read") }
            bytes.removeLast(bytes.count - count)
            offset += count
        }
    }

    /// Puts the file aside for people to look at, in place of one that was put aside before.
    func setAside() throws(SystemError) {
        guard unsafe renameat(folder, fileName, folder, damagedName) == 0 else { throw SystemError("rename") }
    }

    /// Begins a new file with mode 0600, which has not its name yet; one of an earlier try is gone.
    ///
    /// - Returns: Its descriptor.
    func begin() throws(SystemError) -> Int32 {
        _ = unsafe unlinkat(folder, newName, 0)
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND
        let file = unsafe openat(folder, newName, flags, 0o600)
        guard file >= 0 else { throw SystemError("create") }
        // The first one is begun before the daemon becomes the user.
        if owner != geteuid() { fchown(file, owner, gid_t.max) }
        return file
    }

    /// Gives the new file its name.
    func put() throws(SystemError) {
        guard unsafe renameat(folder, newName, folder, fileName) == 0 else { throw SystemError("rename") }
    }

    /// Removes the new file, which is not to be.
    func discard() { _ = unsafe unlinkat(folder, newName, 0) }

    /// Makes the name survive a power failure.
    func synchronise() { fsync(folder) }
}
