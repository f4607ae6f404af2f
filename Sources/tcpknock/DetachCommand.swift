// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import KernelFilter

struct DetachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Takes it from the network; does nothing if it is not there.")

    @OptionGroup var place: KernelFilterCommand.Place

    func run() throws {
        try place.run { folder throws(KernelFilterError) in try FilterHook.detach(pinFolder: folder) }
    }
}
