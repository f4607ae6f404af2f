// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import KernelFilter
import Linux
internal import Program
import Settings
import SystemPackage

struct KernelFilterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernel-filter",
        abstract: "Attaches the kernel filter to the network, or takes it from there; server.sh does both by itself.",
        discussion: """
            tcpknock-server has a program in the kernel that tells wrong codes from right ones. From Linux 6.4 on it can \
            be attached to the network itself, before all firewall rules. It stays attached when the daemon ends.
            """,
        subcommands: [AttachCommand.self, CloseGateCommand.self, ClosedCommand.self, DetachCommand.self])

    /// The folder in which the daemon has pinned its programs.
    struct Place: ParsableArguments {
        @Option(help: ArgumentHelp("The folder in which tcpknock-server has pinned them.", valueName: "path"))
        var folder: String

        /// Runs `body` with the folder, and reports its error.
        func run(_ body: (FilePath) throws(KernelFilterError) -> Void) throws {
            try reportingErrors(of: "tcpknock") { () throws(FatalError) in
                try fatally { () throws(KernelFilterError) in try body(FilePath(folder)) }
            }
        }
    }
}

extension KernelFilterCommand {
    /// The ports and places to protect.
    struct Scope: ParsableArguments {
        @Option(help: ArgumentHelp("A protected port; may be given several times.", valueName: "port"))
        var targetPort: [UInt16]

        @Option(
            help: ArgumentHelp(
                "Whose: own, an address, a prefix, or interface:NAME; may be given several times.", valueName: "place"),
            transform: place)
        var protect: [FilterScope.Place] = [.own]

        @Option(
            help: ArgumentHelp(
                "Who needs no knock: an address, a prefix, or interface:NAME; may be given several times.",
                valueName: "place"),
            transform: place)
        var exempt: [FilterScope.Place] = []

        func validate() throws {
            guard !targetPort.contains(0) else { throw ValidationError("0 is not a TCP port; give 1 to 65535") }
            guard !exempt.contains(.own) else {
                throw ValidationError("--exempt own: what this host sends needs no knock")
            }
        }

        var value: FilterScope { FilterScope(ports: targetPort, protected: protect, exempt: exempt) }

        private static func place(_ text: String) throws -> FilterScope.Place {
            switch Settings.Place(text) {
            case .own: return .own
            case .prefix(let prefix): return .prefix(prefix)
            case .interface(let name): return .interface(name)
            case nil:
                throw ValidationError(
                    "'\(text)' is not known; give own, an address, a prefix such as 10.0.0.0/24, or interface:NAME")
            }
        }
    }
}
