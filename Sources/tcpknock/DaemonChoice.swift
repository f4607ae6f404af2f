// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Control
import Doctor
import Linux
import Program
import Settings
import SystemPackage

/// The choice of the daemons on this host that a command is for.
struct DaemonChoice: ParsableArguments {
    @Flag(help: "Ask tcpknock-server.")
    var server = false

    @Flag(help: "Ask tcpknock-client.")
    var client = false

    @Option(
        help: ArgumentHelp("Ask this instance of the server.", valueName: "name"),
        transform: ValueKind.instance.argument)
    var instance: String?

    @Option(
        help: ArgumentHelp(
            "Ask the daemon with this control socket. (default: those in \(SharedSettings.socketFolder))",
            valueName: "path"))
    var socket: String?

    private static let clientSocket = ClientSettings().controlSocket ?? ""

    func validate() throws {
        if server, client { throw ValidationError("--server and --client cannot go together; leave out both for both") }
        if instance != nil, client { throw ValidationError("--instance is one of several servers, not a client") }
        if socket != nil, server || client || instance != nil {
            throw ValidationError("--socket names the daemon already")
        }
    }

    /// Returns the sockets to ask: the chosen ones, else all that exist.
    ///
    /// - Throws: `FatalError` if there are none.
    func sockets() throws(FatalError) -> [FilePath] {
        if let socket { return [FilePath(socket)] }
        if instance != nil { return [ServerSettings.defaultControlSocket(of: instance)] }
        if client { return [Self.clientSocket] }
        let servers = Self.servers
        if server { return servers.isEmpty ? [ServerSettings.defaultControlSocket(of: nil)] : servers }
        let found = servers + (Self.clientSocket.exists ? [Self.clientSocket] : [])
        guard !found.isEmpty else {
            throw FatalError(
                "no daemon is running here: there is no socket in \(SharedSettings.socketFolder)",
                cure: "if its control_socket is elsewhere, name it with --socket", status: .unavailable)
        }
        return found
    }

    /// The existing sockets of all servers, the one without a name first.
    private static var servers: [FilePath] {
        let usual = ServerSettings.defaultControlSocket(of: nil)
        let named = Host.live.list(usual.removingLastComponent().string).filter {
            $0.hasPrefix("server@") && $0.hasSuffix(".sock")
        }
        return ([usual] + named.sorted().map { usual.removingLastComponent().appending($0) })
            .filter { $0.exists }
    }

    /// Returns the socket to ask if a command is for a single daemon.
    func socket(preferring isServer: Bool) throws(FatalError) -> FilePath {
        let found = try sockets()
        let preferred = isServer ? ServerSettings.defaultControlSocket(of: nil) : Self.clientSocket
        return found.contains(preferred) ? preferred : found[0]
    }
}
