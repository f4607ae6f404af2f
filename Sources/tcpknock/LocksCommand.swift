// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Control
import Linux
import Program

struct LocksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "locks",
        abstract: "Lists lockouts, with the time left and the reason.")

    @OptionGroup var server: ServerChoice

    @Flag(help: "Print one JSON array.")
    var json = false

    func run() throws {
        try reportingErrors(of: "tcpknock") { () throws(FatalError) -> Void in
            try ControlClient.ask(server.socket, .locks, json ? .json : .text) { StandardOutput.write($0) }
        }
    }
}
