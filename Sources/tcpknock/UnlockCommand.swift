// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Control
import JSONText
import Linux
import Program
import Settings
import Wire

struct UnlockCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unlock",
        abstract: "Ends the lockout of an address.",
        discussion: "Connections that were closed with the lockout stay closed.")

    @OptionGroup var server: ServerChoice

    @Flag(help: "Print one JSON object.")
    var json = false

    @Argument(help: "The address, as 'tcpknock locks' shows it.", transform: ValueKind.address.argument)
    var address: IPAddress

    func run() throws {
        try reportingErrors(of: "tcpknock") { () throws(FatalError) in
            let answer = try ControlClient.answer(server.socket, .unlock(address))
            let object = JSONValue.object(["address": .string("\(address)"), "message": .string(answer)])
            StandardOutput.write(json ? object.text + "\n" : answer + "\n")
        }
    }
}
