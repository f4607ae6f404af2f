// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon
import Glibc
import SystemPackage

/// Which of this host's daemons a command is for.
struct DaemonChoice: ParsableArguments {
    @Flag(help: "Ask tcpknock-server.")
    var server = false

    @Flag(help: "Ask tcpknock-client.")
    var client = false

    @Option(
        help: ArgumentHelp(
            "Ask the daemon with this control socket. (default: those in /run/tcpknock)", valueName: "path"))
    var socket: String?

    private static let serverSocket: FilePath = "/run/tcpknock/server.sock"
    private static let clientSocket: FilePath = "/run/tcpknock/client.sock"

    func validate() throws {
        if server, client { throw ValidationError("--server and --client cannot go together; leave out both for both") }
        if socket != nil, server || client { throw ValidationError("--socket names the daemon already") }
    }

    /// The sockets to ask: those that were chosen, else all that are there.
    ///
    /// - Throws: That there is none.
    func sockets() throws(FatalError) -> [FilePath] {
        if let socket { return [FilePath(socket)] }
        if server { return [Self.serverSocket] }
        if client { return [Self.clientSocket] }
        let found = [Self.serverSocket, Self.clientSocket].filter { ControlClient.exists($0) }
        guard !found.isEmpty else {
            throw FatalError(
                "no daemon is running here: there is no socket in /run/tcpknock; "
                    + "if its control_socket is elsewhere, name it with --socket", status: EX_UNAVAILABLE)
        }
        return found
    }

    /// The server's socket: one that was named, or the usual one.
    static func server(_ socket: String?) -> FilePath {
        socket.map { FilePath($0) } ?? serverSocket
    }

    /// The one socket to ask, where a command is for one daemon.
    func socket(preferring isServer: Bool) throws(FatalError) -> FilePath {
        let found = try sockets()
        let preferred = isServer ? Self.serverSocket : Self.clientSocket
        return found.contains(preferred) ? preferred : found[0]
    }
}
