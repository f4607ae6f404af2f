// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows how the daemons of this host are doing.",
        discussion: """
            Queues and their losses, guests or targets, who is connected since when and with how many bytes, and how \
            many packets got a verdict for which reason.
            """)

    @OptionGroup var daemon: DaemonChoice

    @Flag(help: "Print one JSON object a line for each daemon.")
    var json = false

    func run() throws {
        try reportingErrors(of: "tcpknock") { () throws(FatalError) in
            for (number, socket) in try daemon.sockets().enumerated() {
                if number > 0, !json { StandardOutput.write("\n") }
                try ControlClient.ask(socket, .status, json ? .json : .text) { StandardOutput.write($0) }
            }
        }
    }
}
