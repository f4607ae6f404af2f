// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Program

@main
struct ToolCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcpknock",
        abstract: "Shows what the tcpknock daemons of this host do, and why something does not work.",
        version: version,
        subcommands: [
            StatusCommand.self, WatchCommand.self, LocksCommand.self, UnlockCommand.self, ReloadCommand.self,
            AddServerCommand.self, DoctorCommand.self, ProbeCommand.self, TraceCommand.self,
            ReasonsCommand.self, KernelFilterCommand.self, BypassesCommand.self,
        ])
}
