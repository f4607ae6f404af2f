// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Has the daemons of this host read their configuration again.",
        discussion: """
            Handshakes under way and open connections go on; those of guests who are no longer in the configuration, \
            or are no longer admitted, are closed. What is wrong in a new configuration leaves the old one in force.
            """)

    @OptionGroup var daemon: DaemonChoice

    func run() throws {
        try reportingErrors(of: "tcpknock") { () throws(FatalError) in
            for socket in try daemon.sockets() {
                try ControlClient.ask(socket, .reload, .text) { StandardOutput.write("\(socket): \($0)") }
            }
        }
    }
}
