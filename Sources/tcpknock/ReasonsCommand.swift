// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import JSONText
import KnockEngine
import Program

struct ReasonsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reasons",
        abstract: "Explains the reasons that the daemons name in logs and counters.")

    @Flag(help: "Print one JSON object.")
    var json = false

    @Argument(help: "Only these reasons.")
    var names: [String] = []

    func run() throws {
        let known = Set(Reason.allCases.map(\.name))
        for name in names where !known.contains(name) {
            throw ValidationError("there is no reason '\(name)'; 'tcpknock reasons' lists all")
        }
        let reasons = Reason.allCases.filter { names.isEmpty || names.contains($0.name) }
        if json {
            let object = JSONValue.object(reasons.map { .init($0.name, .string($0.explanation)) })
            StandardOutput.write(object.indentedText + "\n")
        } else {
            let width = reasons.map(\.name.count).max() ?? 0
            for reason in reasons {
                let gap = String(repeating: " ", count: width - reason.name.count + 2)
                StandardOutput.write("\(reason.name)\(gap)\(reason.explanation)\n")
            }
        }
    }
}
