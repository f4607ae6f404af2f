// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Doctor
import Program
import Settings

/// The command behind `server.sh guard`, so that only one program needs to know how to read rules.
struct BypassesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bypasses",
        abstract: "Prints the rules of other programs that let packets past the knock; for server.sh.",
        discussion: """
            A line for each rule and port: the port, 'up' if 'server.sh up' mends it by putting its own rules first again, \
            else 'rule', and the rule.
            """,
        shouldDisplay: false)

    @Option(
        help: ArgumentHelp("Whose rules are ours, of several servers.", valueName: "name"),
        transform: ValueKind.instance.argument)
    var instance: String?

    @Option(
        parsing: .singleValue, help: ArgumentHelp("A protected port; may be given several times.", valueName: "port"),
        transform: ValueKind.port.argument)
    var targetPort: [UInt16]

    @Option(
        help: ArgumentHelp("The bit of the mark that says 'verified'.", valueName: "bit"),
        transform: ValueKind.markBit.argument)
    var mark: UInt32

    func run() {
        var subject = DoctorSubject(.server, instance: instance)
        subject.targetPorts = targetPort
        subject.mark = mark
        for bypass in Bypass.all(Firewall(Host.live), subject) {
            StandardOutput.write("\(bypass.port) \(bypass.yields ? "up" : "rule") \(bypass.rule)\n")
        }
    }
}
