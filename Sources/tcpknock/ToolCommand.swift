// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Program

@main
struct ToolCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcpknock",
        abstract: "Shows what this host's tcpknock daemons do, and finds out why something does not work.",
        version: version,
        subcommands: [
            StatusCommand.self, WatchCommand.self, LocksCommand.self, UnlockCommand.self, ReloadCommand.self,
            AddServerCommand.self, DoctorCommand.self, ProbeCommand.self, TraceCommand.self,
            ReasonsCommand.self, KernelFilterCommand.self,
        ])
}
