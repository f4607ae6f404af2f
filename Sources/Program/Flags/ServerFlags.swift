// SPDX-License-Identifier: GPL-2.0-or-later
package import ArgumentParser
package import Settings
package import SystemPackage

/// The flags of `tcpknock-server`.
package struct ServerFlags: DaemonFlags {
    @OptionGroup package var common: CommonOptions

    @Option(
        name: [.customLong("queue-num"), .customLong("queue_num")],
        help: ArgumentHelp(
            "Queue number used by the firewall rules, or FIRST:LAST for several, one thread each. (default: 100)",
            valueName: "number"),
        transform: QueueRange.parse)
    var queues: ClosedRange<UInt16>?

    @Option(
        name: .customLong("protect"), parsing: .singleValue,
        help: ArgumentHelp(
            "Whose ports are protected: own (this host's), an address or prefix behind it, or interface:NAME; may be "
                + "given again. (default: own)", valueName: "what"),
        transform: PlaceArgument.parse)
    var protect: [Place] = []

    @Option(
        name: .customLong("exempt"), parsing: .singleValue,
        help: ArgumentHelp(
            "Who needs no knock: an address or prefix, or interface:NAME for all that comes in there; may be given again.",
            valueName: "whom"),
        transform: PlaceArgument.parseSource)
    var exempt: [Place] = []

    @Option(
        name: [.customLong("lockout-seconds"), .customLong("lockout_seconds")],
        help: ArgumentHelp("How long a wrong third ACK locks out its sender. (default: 120)", valueName: "seconds"),
        transform: NumberArgument.parse(1...86_400, "lockout time", " seconds"))
    var lockoutSeconds: UInt32?

    @Option(
        name: [.customLong("lockout-scope"), .customLong("lockout_scope")],
        help: ArgumentHelp(
            "Whom it locks out: the guest whose key was used, or everyone at the address. (default: guest)",
            valueName: "whom"))
    var lockoutScope: LockoutScope?

    @Option(
        name: [.customLong("guest-syn-rate"), .customLong("guest_syn_rate")],
        help: ArgumentHelp(
            "Connections per second that each guest may begin when there are several; 0 for no limit. "
                + "(default: 2000)", valueName: "number"),
        transform: NumberArgument.parse(0...1_000_000, "number of connections"))
    var guestSYNRate: UInt32?

    @Option(
        name: [.customLong("on-failure"), .customLong("on_failure")],
        help: ArgumentHelp(
            "How to treat a SYN without a right code: drop it, or answer as a closed port does. (default: drop)",
            valueName: "what"))
    var onFailure: FailureAnswer?

    @Option(
        name: [.customLong("guest-search"), .customLong("guest_search")],
        help: ArgumentHelp(
            "How the guest of a SYN is found: only by its hint, or by trying all keys if that finds nobody; auto tries "
                + "all up to 8 guests. (default: auto)", valueName: "how"))
    var guestSearch: GuestSearch?

    @Flag(
        name: [.customLong("fast-open"), .customLong("fast_open")],
        help: "Let SYNs carry data, which reaches the service before the client is verified (TCP Fast Open).")
    var fastOpen = false

    @Option(
        name: [.customLong("lockout-after-wrong-codes"), .customLong("lockout_after_wrong_codes")],
        help: ArgumentHelp(
            "Number of wrong codes after which an address is locked out; 0 for never. (default: 0)", valueName: "number"
        ),
        transform: NumberArgument.parse(0...1_000_000, "number of wrong codes"))
    var lockoutAfterWrongCodes: UInt32?

    @Option(
        name: [.customLong("wrong-code-seconds"), .customLong("wrong_code_seconds")],
        help: ArgumentHelp("The time in which they are counted, in seconds. (default: 600)", valueName: "seconds"),
        transform: NumberArgument.parse(1...86_400, "time", " seconds"))
    var wrongCodeSeconds: UInt32?

    @Option(
        name: [.customLong("kernel-filter"), .customLong("kernel_filter")],
        help: ArgumentHelp(
            "Whether the kernel drops SYNs with a wrong code by a program of its own: auto does where it can. "
                + "(default: auto)", valueName: "when"))
    var kernelFilter: KernelFilterChoice?

    @Option(
        name: [.customLong("pin-folder"), .customLong("pin_folder")],
        help: ArgumentHelp(
            "Folder where that program is pinned; the firewall rules must use the same. (default: /sys/fs/bpf/tcpknock)",
            valueName: "path"))
    var pinFolder: String?

    @Option(
        name: [.customLong("rules-guard"), .customLong("rules_guard")],
        help: ArgumentHelp(
            "What is done about firewall rules that another program has taken away: tell says so, restore also puts "
                + "them back. (default: restore)", valueName: "what"))
    var rulesGuard: RulesGuardChoice?

    @Option(
        name: [.customLong("state-dir"), .customLong("state_dir")],
        help: ArgumentHelp(
            "Folder that keeps lockouts and used codes across restarts; '' for none. "
                + "(default: /var/lib/tcpknock)", valueName: "path"))
    var stateFolder: String?

    @Option(
        name: [.customLong("hook-seconds"), .customLong("hook_seconds")],
        help: ArgumentHelp("Time limit of a hook. (default: 10)", valueName: "seconds"),
        transform: NumberArgument.parse(1...3_600, "time limit", " seconds"))
    var hookSeconds: UInt32?

    @Option(
        name: [.customLong("hook-limit"), .customLong("hook_limit")],
        help: ArgumentHelp("How many hooks may run at once. (default: 8)", valueName: "number"),
        transform: NumberArgument.parse(1...1_024, "number of hooks"))
    var hookLimit: UInt32?

    @Option(
        name: [.customLong("on-admit"), .customLong("on_admit")],
        help: ArgumentHelp("Shell command to run when a connection is admitted.", valueName: "command"))
    var onAdmit: String?

    @Option(
        name: [.customLong("on-close"), .customLong("on_close")],
        help: ArgumentHelp("Shell command to run when an admitted connection ends.", valueName: "command"))
    var onClose: String?

    @Option(
        name: [.customLong("on-lockout"), .customLong("on_lockout")],
        help: ArgumentHelp("Shell command to run when a client is locked out.", valueName: "command"))
    var onLockout: String?

    @Option(
        help: ArgumentHelp(
            "Which of several servers on this host it is: its configuration is /etc/tcpknock/server@NAME.toml, its "
                + "socket /run/tcpknock/server@NAME.sock. (default: the one without a name)", valueName: "name"),
        transform: InstanceName.parse)
    var instance: String?

    /// Creates flags as if none were given.
    package init() {}

    package var usualFile: FilePath { ServerSettings.defaultFile(of: instance) }

    package func apply(to settings: inout EffectiveSettings<ServerSettings>) {
        settings.set(\.instance, "instance", instance.map { $0 })
        if let instance {
            settings.setDefault(
                \.controlSocket, "control_socket", ServerSettings.defaultControlSocket(of: instance))
        }
        settings.set(\.queues, "queue_num", queues)
        settings.set(\.protect, "protect", protect.isEmpty ? nil : protect)
        settings.set(\.exempt, "exempt", exempt.isEmpty ? nil : exempt)
        settings.set(\.lockoutSeconds, "lockout_seconds", lockoutSeconds)
        settings.set(\.lockoutScope, "lockout_scope", lockoutScope)
        settings.set(\.guestSYNRate, "guest_syn_rate", guestSYNRate)
        settings.set(\.onFailure, "on_failure", onFailure)
        settings.set(\.guestSearch, "guest_search", guestSearch)
        settings.set(\.fastOpen, "fast_open", fastOpen ? true : nil)
        settings.set(\.lockoutAfterWrongCodes, "lockout_after_wrong_codes", lockoutAfterWrongCodes)
        settings.set(\.wrongCodeSeconds, "wrong_code_seconds", wrongCodeSeconds)
        settings.set(\.kernelFilter, "kernel_filter", kernelFilter)
        settings.set(\.pinFolder, "pin_folder", pinFolder.map { FilePath($0) })
        settings.set(\.rulesGuard, "rules_guard", rulesGuard)
        settings.set(\.stateFolder, "state_dir", stateFolder.map { $0.isEmpty ? nil : FilePath($0) })
        settings.set(\.hookSeconds, "hook_seconds", hookSeconds)
        settings.set(\.hookLimit, "hook_limit", hookLimit)
        settings.set(\.onAdmit, "on_admit", onAdmit.map { HookCommand(shell: $0) })
        settings.set(\.onClose, "on_close", onClose.map { HookCommand(shell: $0) })
        settings.set(\.onLockout, "on_lockout", onLockout.map { HookCommand(shell: $0) })
    }

    package static let keysMustDiffer = true

    package static func keyFiles(_ settings: ServerSettings) -> [(owner: String, path: FilePath)] {
        settings.effectiveGuests.map { ("guest \"\($0.name)\"", $0.keyFile) }
    }
}
