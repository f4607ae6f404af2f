// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
internal import Control
import JSONText
import Linux
internal import Program

struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Shows each step of each handshake as it happens.",
        discussion: """
            One line a step: the time (UTC), client and server, the guest or target, the reason of the verdict and what \
            it means. Dropped packets are among them. Ends with ctrl-C.
            """)

    @OptionGroup var daemon: DaemonChoice

    @Flag(help: "Print one JSON object a line.")
    var json = false

    func run() throws {
        try reportingErrors(of: "tcpknock") { () throws(FatalError) in
            let socket = try daemon.socket(preferring: true)
            try ControlClient.ask(socket, .watch, json ? .json : .text) { StandardOutput.write($0) }
            throw FatalError("the daemon has ended", at: "\(socket)", status: .unavailable)
        }
    }
}
