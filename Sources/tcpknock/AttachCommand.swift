// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import KernelFilter

struct AttachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Attaches it; if it is attached already, only what is protected changes.")

    @OptionGroup var place: KernelFilterCommand.Place
    @OptionGroup var scope: KernelFilterCommand.Scope

    func run() throws {
        try place.run { folder throws(KernelFilterError) in
            try FilterHook.attach(pinFolder: folder, scope: scope.value)
        }
    }
}
