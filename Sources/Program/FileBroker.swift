// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
package import Linux
internal import Settings
internal import Synchronization
package import SystemPackage

/// Opens configuration and key files for a daemon that has changed its user and can no longer read root's files.
///
/// A child process remains root, without any capability, and passes open files to the daemon: the configuration file,
/// and the key files named in the configuration, which the child reads itself. An attacker who has taken over the
/// daemon thus gains no access that the daemon did not have already. The child exits with the daemon.
package final class FileBroker: Sendable {
    /// The flag that makes the daemon's program run as this child.
    static let flag = "--open-files"
    /// The longest path that can be requested, in bytes.
    private static let longestPath = 4_096

    private static let current = Mutex<FileBroker?>(nil)

    private let link: Mutex<Int32>

    private init(_ link: Int32) { self.link = Mutex(link) }

    // MARK: The daemon

    /// Starts the child if the daemon is about to become a user other than root.
    ///
    /// Call this while there is only one thread.
    ///
    /// - Parameter identity: The user that the daemon becomes; nil if it keeps its user.
    /// - Throws: `FatalError` if the child cannot be started.
    package static func start(for identity: Identity?) throws(FatalError) {
        guard let identity, identity.user != 0, geteuid() == 0 else { return }
        do throws(SystemError) {
            let broker = FileBroker(try spawn())
            current.withLock { $0 = broker }
        } catch {
            throw FatalError("no child that opens files: \(error)", status: .system)
        }
    }

    /// Opens a file for reading, as open(2) does.
    ///
    /// If this process lacks the permission, the child opens it, if there is one.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - options: The options, as for open(2).
    /// - Returns: The descriptor, to be closed by the caller.
    /// - Throws: The error of open(2).
    package static func open(_ path: FilePath, _ options: FileDescriptor.OpenOptions) throws(Errno) -> FileDescriptor {
        do {
            return try FileDescriptor.open(path, .readOnly, options: options)
        } catch Errno.permissionDenied {
            guard let broker = current.withLock({ $0 }) else { throw .permissionDenied }
            return try broker.ask(path)
        } catch {
            throw Errno(error)
        }
    }

    private func ask(_ path: FilePath) throws(Errno) -> FileDescriptor {
        let bytes = Array(path.string.utf8)
        guard bytes.count <= Self.longestPath else { throw .fileNameTooLong }
        return try link.withLock { link throws(Errno) in
            guard UnixSocket.send(bytes[...], to: link) == bytes.count else { throw .permissionDenied }
            // The child answers or exits. After a timeout, its late answer would be taken for that to the next request.
            var file: Int32 = -1
            let error = unsafe clinux_receive_file(link, &file)
            guard error == 0 else { throw Errno(rawValue: error) }
            return FileDescriptor(rawValue: file)
        }
    }

    private static func spawn() throws(SystemError) -> Int32 {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw SystemError("socketpair") }
        defer { close(ends[1]) }
        do throws(SystemError) {
            try ChildProcess.spawn(again: CommandLine.arguments + [flag], input: ends[1])
        } catch {
            close(ends[0])
            throw error
        }
        return ends[0]
    }

    // MARK: The child

    /// Opens files for the daemon at the other end of standard input, until the daemon has ended.
    ///
    /// - Parameter flags: The daemon's flags.
    /// - Throws: The kernel's error when privileges are dropped.
    static func serve<Settings>(_ flags: DaemonFlags<Settings>) throws(FatalError) {
        try Privileges.giveUpAll()
        var keyFiles = keyFiles(flags)
        while let path = receivePath() {
            let isConfiguration = path == flags.configurationFile
            // A daemon that requests the configuration file reads it anew, and then the key files that it names.
            if isConfiguration { keyFiles = Self.keyFiles(flags) }
            hand(path, isGranted: isConfiguration || keyFiles.contains(path))
        }
    }

    /// Returns the key files that the configuration names now; none if it is wrong or could have been written by
    /// others.
    private static func keyFiles<Settings>(_ flags: DaemonFlags<Settings>) -> Set<FilePath> {
        (try? flags.settings()).map { Set($0.keyFiles.map(\.path)) } ?? []
    }

    private static func receivePath() -> FilePath? {
        var bytes = [UInt8](repeating: 0, count: longestPath)
        let count = unsafe recv(STDIN_FILENO, &bytes, bytes.count, 0)
        return count > 0 ? FilePath(String(decoding: bytes[..<count], as: UTF8.self)) : nil
    }

    private static func hand(_ path: FilePath, isGranted: Bool) {
        guard isGranted else {
            clinux_send_file(STDIN_FILENO, -1, EACCES)
            return
        }
        let file = unsafe path.withPlatformString { unsafe Glibc.open($0, O_RDONLY | O_NONBLOCK | O_CLOEXEC) }
        clinux_send_file(STDIN_FILENO, file, file < 0 ? errno : 0)
        if file >= 0 { close(file) }
    }
}
