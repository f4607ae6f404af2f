// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import KernelFilter
internal import Program

struct ClosedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "closed",
        abstract: "Prints the ports that the gate closes, whatever the firewall rules are; none if it is not attached.")

    @OptionGroup var place: KernelFilterCommand.Place

    func run() throws {
        try place.run { folder throws(KernelFilterError) in
            StandardOutput.write(try FilterHook.closedPorts(pinFolder: folder).map { "\($0)\n" }.joined())
        }
    }
}
