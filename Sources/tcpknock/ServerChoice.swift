// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Program
import Settings
import SystemPackage

/// The choice of the server on this host that a command is for.
struct ServerChoice: ParsableArguments {
    @Option(name: .customLong("socket"), help: ArgumentHelp("The control socket of the server.", valueName: "path"))
    private var given: String?

    @Option(help: ArgumentHelp("Instance of the server.", valueName: "name"), transform: ValueKind.instance.argument)
    private var instance: String?

    /// The server's socket: the one given, or the usual one of the instance.
    var socket: FilePath { given.map { FilePath($0) } ?? ServerSettings.defaultControlSocket(of: instance) }
}
