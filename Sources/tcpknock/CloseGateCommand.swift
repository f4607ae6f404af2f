// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import KernelFilter
internal import Program
import Settings

struct CloseGateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "close-gate",
        abstract:
            "Attaches the gate behind all firewall rules; if it is attached already, only what is protected and the mark change.",
        discussion: """
            Of what is protected, it lets connections through whose mark in connection tracking says that they are \
            verified, and SYNs that connection tracking has seen. So nobody gets in while another program has flushed \
            the rules.
            """)

    @OptionGroup var place: KernelFilterCommand.Place
    @OptionGroup var scope: KernelFilterCommand.Scope

    @Option(
        help: ArgumentHelp("The bit of a connection's mark that says 'verified'.", valueName: "bit"),
        transform: ValueKind.markBit.argument)
    var mark: UInt32

    func run() throws {
        try place.run { folder throws(KernelFilterError) in
            try FilterHook.closeGate(pinFolder: folder, scope: scope.value, mark: mark)
        }
    }
}
