// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Dispatch
internal import Glibc
package import Linux
package import Logging
package import Program
package import Settings
package import SystemPackage

/// The socket on which a daemon answers `tcpknock`: for root and the daemon's own user, and for this host alone.
package final class ControlSocket: Sendable {
    /// How long somebody may take to ask and to read the answer, in seconds.
    private static let patience = 5

    /// Where it is.
    package let path: FilePath
    private let descriptor: Int32
    private let listener = DispatchQueue(label: "control socket")
    private let answers = DispatchQueue(label: "control answers", attributes: .concurrent)
    /// So many are answered at a time; more have to wait.
    private let places = DispatchSemaphore(value: 8)

    /// Makes the socket with mode 0600, and the folder that it is in if that is missing.
    ///
    /// A socket that a daemon has left behind is replaced; one that a daemon answers on is not.
    ///
    /// - Parameters:
    ///   - path: Where it is to be.
    ///   - identity: Whom the daemon will become, and to whom it is given; nil if it stays who it is.
    /// - Throws: What is wrong with the path.
    package init(_ path: FilePath, identity: Identity? = nil) throws(FatalError) {
        self.path = path
        do throws(SystemError) {
            descriptor = try Self.bind(path, identity)
        } catch {
            let status = error.number == EACCES || error.number == EPERM ? EX_NOPERM : EX_CANTCREAT
            throw FatalError("control socket \(path): \(error.description)", status: status)
        }
    }

    deinit {
        close(descriptor)
    }

    /// Removes the socket from the file system; who has asked already is still answered.
    package func remove() {
        unsafe path.withPlatformString { _ = unsafe unlink($0) }
    }

    private static func bind(_ path: FilePath, _ identity: Identity?) throws(SystemError) -> Int32 {
        let folder = path.removingLastComponent()
        if !folder.isEmpty {
            if unsafe folder.withPlatformString({ unsafe mkdir($0, 0o755) }) == 0 {
                // Made for this socket: so who uses it can remove the socket at the end.
                hand(folder, to: identity)
            } else if errno != EEXIST {
                throw SystemError("mkdir \(folder)")
            }
        }
        try removeLeftover(path)
        let descriptor = try UnixSocket.open()
        do throws(SystemError) {
            // The mode of a socket is set when it is bound, and nobody else may connect even for a moment.
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

    /// Begins to answer, on threads of its own.
    ///
    /// - Parameters:
    ///   - logger: Where it says who was turned away.
    ///   - watchers: Who takes over the connections of those who ask to watch.
    ///   - answer: Carries out requests other than `watch`; may be called on several threads.
    package func start(
        logger: Logger, watchers: WatchBoard,
        answer: @escaping @Sendable (ControlRequest, ControlRequest.Form) -> ControlAnswer
    ) {
        listener.async { [descriptor, answers, places] in
            while true {
                let connection = uninterrupted { clinux_accept(descriptor) }
                guard connection >= 0 else {
                    if errno == ECONNABORTED { continue }
                    // Out of descriptors: those in use come back.
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
                ControlAnswer.failed(EX_PROTOCOL, "this daemon does not know the request").text, to: connection)
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
    /// Makes the socket that the settings ask for.
    ///
    /// One at the usual place that cannot be made is only reported, because a daemon can do its work without; one that
    /// somebody has asked for must be there.
    ///
    /// - Returns: nil if there is none.
    /// - Throws: What is wrong with the path that was asked for.
    package static func open<Settings: CommonSettings>(
        _ settings: Settings, identity: Identity? = nil, logger: Logger
    ) throws(FatalError) -> ControlSocket? {
        guard let path = settings.controlSocket else { return nil }
        do throws(FatalError) {
            return try ControlSocket(path, identity: identity)
        } catch {
            guard path == Settings().controlSocket else { throw error }
            logger.warning("no control socket: \(error.description)")
            return nil
        }
    }
}
