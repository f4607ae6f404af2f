// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Capture
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

struct DetachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Takes it from the network; does nothing if it is not there.")

    @OptionGroup var place: KernelFilterCommand.Place

    func run() throws {
        try place.run { folder throws(KernelFilterError) in try FilterHook.detach(pinFolder: folder) }
    }
}
