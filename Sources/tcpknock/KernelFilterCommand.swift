// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon
import Glibc
import KernelFilter
import SystemPackage

struct KernelFilterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernel-filter",
        abstract: "Attaches the kernel filter to the network, or takes it from there; server.sh does both by itself.",
        discussion: """
            tcpknock-server has a program in the kernel that tells wrong codes from right ones. From Linux 6.4 on it can \
            be attached to the network itself, before all firewall rules. It stays attached when the daemon ends.
            """,
        subcommands: [AttachCommand.self, DetachCommand.self])

    /// Where the daemon has pinned its programs.
    struct Place: ParsableArguments {
        @Option(help: ArgumentHelp("The folder in which tcpknock-server has pinned them.", valueName: "path"))
        var folder: String

        /// Reports what the kernel has against it.
        func run(_ body: (FilePath) throws(KernelFilterError) -> Void) throws {
            try reportingErrors(of: "tcpknock") { () throws(FatalError) in
                do throws(KernelFilterError) {
                    try body(FilePath(folder))
                } catch {
                    throw FatalError(error.description, status: Self.status(error))
                }
            }
        }

        private static func status(_ error: KernelFilterError) -> Int32 {
            switch error {
            case .notPermitted: EX_NOPERM
            case .hookMissing: EX_NOINPUT
            default: EX_UNAVAILABLE
            }
        }
    }
}

struct AttachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Attaches it for some ports; if it is attached already, only the ports change.")

    @OptionGroup var place: KernelFilterCommand.Place

    @Option(help: ArgumentHelp("A protected port; may be given several times.", valueName: "port"))
    var targetPort: [UInt16]

    func validate() throws {
        guard !targetPort.contains(0) else { throw ValidationError("0 is not a TCP port; give 1 to 65535") }
    }

    func run() throws {
        try place.run { folder throws(KernelFilterError) in
            try FilterHook.attach(pinFolder: folder, ports: targetPort)
        }
    }
}

struct DetachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Takes it from the network; does nothing if it is not there.")

    @OptionGroup var place: KernelFilterCommand.Place

    func run() throws {
        try place.run { folder throws(KernelFilterError) in try FilterHook.detach(pinFolder: folder) }
    }
}
