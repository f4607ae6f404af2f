// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Capture
import Control
import JSONText
import Linux
import Program
import Settings
import Wire

struct LocksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "locks",
        abstract: "Lists lockouts, with the time left and the reason.")

    @Option(help: ArgumentHelp("The control socket of the server.", valueName: "path"))
    var socket: String?

    @Option(help: ArgumentHelp("Instance of the server.", valueName: "name"), transform: ValueKind.instance.argument)
    var instance: String?

    @Flag(help: "Print one JSON array.")
    var json = false

    func run() throws {
        try reportingErrors(of: "tcpknock") { () throws(FatalError) in
            let socket = DaemonChoice.server(socket, instance)
            try ControlClient.ask(socket, .locks, json ? .json : .text) { StandardOutput.write($0) }
        }
    }
}
