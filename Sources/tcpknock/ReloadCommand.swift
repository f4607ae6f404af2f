// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
internal import Control
import JSONText
import Linux
internal import Program
import SystemPackage

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Reloads the daemons' configuration.",
        discussion: """
            Handshakes under way and open connections go on; those of guests who are no longer in the configuration, \
            or are no longer admitted, are closed. What is wrong in a new configuration leaves the old one in force.
            """)

    @OptionGroup var daemon: DaemonChoice

    @Flag(help: "Print JSON, one object per line and daemon.")
    var json = false

    func run() throws {
        try reportingErrors(of: "tcpknock") { () throws(FatalError) in
            for socket in try daemon.sockets() {
                let answer = try ControlClient.answer(socket, .reload)
                let object = JSONValue.object(["socket": .string(socket.string), "message": .string(answer)])
                StandardOutput.write(json ? object.text + "\n" : "\(socket): \(answer)\n")
            }
        }
    }
}
