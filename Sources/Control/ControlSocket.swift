// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Dispatch
internal import Glibc
package import Linux
package import Logging
internal import Program
package import Settings
package import SystemPackage

/// The socket on which a daemon answers `tcpknock`.
///
/// Only root and the daemon's own user on this host may use it.
package final class ControlSocket: Sendable {
    /// The time in which a client must send its request and read the answer, in seconds.
    private static let patience = 5

    /// The path of the socket.
    package let path: FilePath
    private let descriptor: Int32
    private let listener = DispatchQueue(label: "control socket")
    private let answers = DispatchQueue(label: "control answers", attributes: .concurrent)
    /// Limits the number of requests that are answered at a time.
    ///
    /// Further ones wait.
    private let places = DispatchSemaphore(value: 8)

    /// Creates the socket with mode 0600, and its folder if that is missing.
    ///
    /// A socket left behind by a daemon is replaced, but not one on which a daemon still answers.
    ///
    /// - Parameters:
    ///   - path: The path of the socket.
    ///   - identity: The user that the daemon will become, which is made the owner of the socket; nil if it keeps its
    ///     user.
    /// - Throws: What is wrong with the path.
    package init(_ path: FilePath, identity: Identity? = nil) throws(FatalError) {
        self.path = path
        do throws(SystemError) {
            descriptor = try Self.bind(path, identity)
        } catch {
            throw FatalError(
                "\(error)", at: "control socket \(path)",
                status: error.isForbidden ? .noPermission : .cannotCreate)
        }
    }

    deinit {
        close(descriptor)
    }

    /// Removes the socket from the file system.
    ///
    /// Requests that were already received are still answered.
    package func remove() {
        unsafe path.withPlatformString { _ = unsafe unlink($0) }
    }

    private static func bind(_ path: FilePath, _ identity: Identity?) throws(SystemError) -> Int32 {
        let folder = path.removingLastComponent()
        if !folder.isEmpty {
            if unsafe folder.withPlatformString({ unsafe mkdir($0, 0o755) }) == 0 {
                // The folder was created for this socket. With the right owner, the daemon can remove the socket at the
                // end.
                hand(folder, to: identity)
            } else if errno != EEXIST {
                throw SystemError("mkdir \(folder)")
            }
        }
        try removeLeftover(path)
        let descriptor = try UnixSocket.open()
        do throws(SystemError) {
            // A socket gets its mode when it is bound. Nobody else may be able to connect, even for a moment.
            let mask = umask(0o177)
            defer { umask(mask) }
            try UnixSocket.bind(descriptor, to: path)
            hand(path, to: identity)
            guard listen(descriptor, 16) == 0 else { throw SystemError("listen") }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private static func hand(_ path: FilePath, to identity: Identity?) {
        guard let identity else { return }
        _ = unsafe path.withPlatformString { unsafe lchown($0, identity.user, identity.group) }
    }

    private static func removeLeftover(_ path: FilePath) throws(SystemError) {
        guard let status = try? Stat(path, followTargetSymlink: false) else { return }
        guard status.type == .socket else { throw SystemError("there is something else", EEXIST) }
        let descriptor = try UnixSocket.open()
        defer { close(descriptor) }
        if (try? UnixSocket.connect(descriptor, to: path)) != nil {
            throw SystemError("another daemon answers on it", EADDRINUSE)
        }
        unsafe path.withPlatformString { _ = unsafe unlink($0) }
    }

    /// Starts to answer requests, on threads of its own.
    ///
    /// - Parameters:
    ///   - logger: The log for refused users.
    ///   - watchers: Takes over the connections of `watch` requests.
    ///   - answer: Carries out all other requests. It may be called on several threads.
    package func start(
        logger: Logger, watchers: WatchBoard,
        answer: @escaping @Sendable (ControlRequest, ControlRequest.Form) -> ControlAnswer
    ) {
        listener.async { [descriptor, answers, places] in
            while true {
                let connection = uninterrupted { clinux_accept(descriptor) }
                guard connection >= 0 else {
                    if errno == ECONNABORTED { continue }
                    // There are no descriptors left. Those in use will be released.
                    if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM {
                        sleep(1)
                        continue
                    }
                    return
                }
                places.wait()
                answers.async {
                    Self.serve(connection, logger, watchers, answer)
                    places.signal()
                }
            }
        }
    }

    private static func serve(
        _ connection: Int32, _ logger: Logger, _ watchers: WatchBoard,
        _ answer: (ControlRequest, ControlRequest.Form) -> ControlAnswer
    ) {
        UnixSocket.setTimeout(connection, seconds: patience)
        guard let user = UnixSocket.peerUser(connection), user == 0 || user == geteuid() else {
            logger.warning("control socket: a user who may not ask was turned away")
            close(connection)
            return
        }
        guard let line = UnixSocket.readLine(connection, maximumLength: ControlRequest.maximumLength),
            let (form, request) = ControlRequest.parse(line)
        else {
            _ = UnixSocket.send(
                ControlAnswer.failed(.wrongProtocol, "this daemon does not know the request").text, to: connection)
            close(connection)
            return
        }
        if request == .watch {
            watchers.add(connection, form)
            return
        }
        _ = UnixSocket.send(answer(request, form).text, to: connection)
        close(connection)
        UnusedMemory.release()
    }
}

extension ControlSocket {
    /// Creates the socket that the settings ask for.
    ///
    /// If the default socket cannot be created, that is only logged, because a daemon can run without it. A socket that
    /// the configuration names explicitly must be created.
    ///
    /// - Returns: The socket; nil if there is none.
    /// - Throws: What is wrong with the configured path.
    package static func open<Settings: DaemonSettings>(
        _ settings: Settings, identity: Identity? = nil, logger: Logger
    ) throws(FatalError) -> ControlSocket? {
        guard let path = settings.controlSocket else { return nil }
        do throws(FatalError) {
            return try ControlSocket(path, identity: identity)
        } catch {
            guard path == Settings().controlSocket else { throw error }
            logger.log(.warning, "no control socket", error)
            return nil
        }
    }
}
