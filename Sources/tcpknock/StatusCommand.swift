// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Control
import JSONText
import Linux
import Program

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows the state of this host's daemons.",
        discussion: """
            Queues and their losses, guests or targets, who is connected since when and with how many bytes, and how \
            many packets got a verdict for which reason.

            The first line of a server says whether its ports are protected: whether each port of its configuration has \
            firewall rules, all of them, and none of another program leads past them; CLOSED says that they are not right, \
            but that the kernel filter lets nobody in. Exit status 0: they are; 1: one of them is not, or it is not known.
            """)

    @OptionGroup var daemon: DaemonChoice

    @Flag(help: "Print JSON, one object per line and daemon.")
    var json = false

    func run() throws {
        let status = try reportingErrors(of: "tcpknock") { () throws(FatalError) -> Int32 in
            var worst: Int32 = 0
            for (number, socket) in try daemon.sockets().enumerated() {
                if number > 0, !json { StandardOutput.write("\n") }
                worst = max(
                    worst,
                    try ControlClient.ask(socket, .status, json ? .json : .text) { StandardOutput.write($0) })
            }
            return worst
        }
        if status != 0 { throw ExitCode(status) }
    }
}
