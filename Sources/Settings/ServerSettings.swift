// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// The settings of `tcpknock-server`.
///
/// A new value has the defaults.
package struct ServerSettings: DaemonSettings {
    package var shared: SharedSettings

    /// The queues of the firewall rules, with one thread for each.
    package var queues: ClosedRange<UInt16> = 100...100
    /// The destinations whose ports are protected.
    ///
    /// At least one.
    package var protect = [Place.own]
    /// The sources that need no knock.
    package var exempt: [Place] = []
    /// The duration of a lockout after a wrong third ACK, in seconds: 1...86,400.
    package var lockoutSeconds: UInt32 = 120
    /// The scope of a lockout if there is more than one guest.
    package var lockoutScope = LockoutScope.guest
    /// The number of connections that each guest may begin per second if there is more than one guest: 0 (any
    /// number)...1,000,000.
    package var guestSYNRate: UInt32 = 2000
    /// The answer to a SYN without a right code.
    package var onFailure = FailureAnswer.drop
    /// The way to find the guest whose key a SYN's code was made with.
    package var guestSearch = GuestSearch.auto
    /// Whether a SYN may carry data (TCP Fast Open).
    package var fastOpen = false
    /// The number of wrong codes after which an address is locked out: 0 (never)...1,000,000.
    package var lockoutAfterWrongCodes: UInt32 = 0
    /// The time within which wrong codes are counted, in seconds: 1...86,400.
    package var wrongCodeSeconds: UInt32 = 600
    /// Whether a program in the kernel drops SYNs with wrong codes.
    package var kernelFilter = KernelFilterChoice.auto
    /// The folder in which that program is pinned, as in the firewall rules.
    package var pinFolder: FilePath = "/sys/fs/bpf/tcpknock"
    /// The reaction to firewall rules that another program has removed.
    package var rulesGuard = RulesGuardChoice.restore
    /// The folder for state that must outlive the daemon; nil for none.
    package var stateFolder: FilePath? = "/var/lib/tcpknock"
    /// The time limit of a hook, in seconds: 1...3,600.
    package var hookSeconds: UInt32 = 10
    /// The number of hooks that can run at once: 1...1,024.
    package var hookLimit: UInt32 = 8
    /// The command to run when a connection is admitted, for guests without their own.
    package var onAdmit: HookCommand?
    /// The command to run when an admitted connection has ended, for guests without their own.
    package var onClose: HookCommand?
    /// The command to run when a client is locked out, for guests without their own.
    package var onLockout: HookCommand?
    /// The guests, each with a key.
    ///
    /// If empty, there is a single one, with the key in `keyFile`.
    package var guests: [GuestSettings] = []

    /// The name of this server, if the host runs several; nil for the one without a name.
    ///
    /// It can be set only by a flag.
    package var instance: String?

    package init(instance: String?) {
        self.instance = instance
        shared = SharedSettings()
        shared.controlSocket = Self.defaultControlSocket(of: instance)
    }

    package static let program = "tcpknock-server"
    package static let keysMustDiffer = true

    package static func defaultFile(of instance: String?) -> FilePath {
        SharedSettings.configurationFolder.appending("\(fileName(of: instance)).toml")
    }

    /// Returns the default control socket of an instance.
    package static func defaultControlSocket(of instance: String?) -> FilePath {
        SharedSettings.socketFolder.appending("\(fileName(of: instance)).sock")
    }

    private static func fileName(of instance: String?) -> String { "server" + (instance.map { "@\($0)" } ?? "") }

    // MARK: Descriptions

    package static let settings =
        SharedSettings.settings(controlSocket: defaultControlSocket(of: nil), noTimeChanges: .atStart)
        .map { $0.within(\.shared) } + own

    package static let tables = [SettingTable("guest", \ServerSettings.guests, GuestSettings.settings)]

    private static let own: [Setting<ServerSettings>] = [
        Setting(
            nil, \.instance, .instance, flag: "instance",
            help: "Which of several servers on this host it is: its configuration is \(defaultFile(of: "NAME")), "
                + "its socket \(defaultControlSocket(of: "NAME")).", firewall: .unlessDefault),
        Setting(
            "queue_num", \.queues, .queues,
            help: "Queue number used by the firewall rules, or FIRST:LAST for several, one thread each.",
            change: .atStart, firewall: .always),
        Setting(
            "protect", \.protect, .destinations.notEmpty("nothing would be protected"),
            help: "Whose ports are protected: own (this host's), an address or prefix behind it, or interface:NAME.",
            firewall: .unlessDefault),
        Setting(
            "exempt", \.exempt, .sources,
            help: "Who needs no knock: an address or prefix, or interface:NAME for all that comes in there.",
            firewall: .unlessDefault),
        Setting(
            "lockout_seconds", \.lockoutSeconds, .number(1...86_400, "a lockout time", unit: "seconds"),
            help: "How long a wrong third ACK locks out its sender, in seconds."),
        Setting(
            "lockout_scope", \.lockoutScope, .choice("whom"),
            help:
                "Whom a wrong third ACK locks out if there are several guests: the guest whose key was used, or everyone at the "
                + "address."),
        Setting(
            "guest_syn_rate", \.guestSYNRate, .number(0...1_000_000, "a number of connections"),
            help: "Connections per second that each guest may begin when there are several; 0 for no limit."),
        Setting(
            "on_failure", \.onFailure, .choice("what"),
            help: "How to treat a SYN without a right code: drop it, or answer as a closed port does.",
            change: .atStart, firewall: .unlessDefault),
        Setting(
            "guest_search", \.guestSearch, .choice("how"),
            help: "How the guest of a SYN is found: only by its hint, or by trying all keys if that finds nobody; auto "
                + "tries all up to 8 guests."),
        Setting(
            "fast_open", \.fastOpen, .boolean,
            help: "Let SYNs carry data, which reaches the service before the client is verified (TCP Fast Open)."),
        Setting(
            "lockout_after_wrong_codes", \.lockoutAfterWrongCodes, .number(0...1_000_000, "a number of wrong codes"),
            help: "Number of wrong codes after which an address is locked out; 0 for never."),
        Setting(
            "wrong_code_seconds", \.wrongCodeSeconds, .number(1...86_400, "a time", unit: "seconds"),
            help: "The time in which wrong codes are counted, in seconds."),
        Setting(
            "kernel_filter", \.kernelFilter, .choice("when"),
            help: "Whether the kernel drops SYNs with a wrong code by a program of its own: auto does where it can.",
            change: .atStart, firewall: .unlessDefault),
        Setting(
            "pin_folder", \.pinFolder, .path,
            help: "Folder where the kernel filter's program is pinned; the firewall rules must use the same.",
            change: .atStart,
            firewall: .unlessDefault),
        Setting(
            "rules_guard", \.rulesGuard, .choice("what"),
            help: "What is done about firewall rules that another program has taken away: tell says so, restore also "
                + "puts them back.", change: .atStart),
        Setting(
            "state_dir", \.stateFolder, .pathOrNone,
            help: "Folder that keeps lockouts and used codes across restarts; '' for none.", change: .atStart),
        Setting(
            "hook_seconds", \.hookSeconds, .number(1...3_600, "a time limit", unit: "seconds"),
            help: "Time limit of a hook, in seconds.", change: .atStart),
        Setting(
            "hook_limit", \.hookLimit, .number(1...1_024, "a number of hooks"),
            help: "How many hooks may run at once.", change: .atStart),
        Setting(
            "on_admit", \.onAdmit, .command, help: "Command to run when a connection is admitted.",
            flagHelp: "Shell command to run when a connection is admitted.",
            example: HookCommand.examples.admit),
        Setting(
            "on_close", \.onClose, .command, help: "Command to run when an admitted connection ends.",
            flagHelp: "Shell command to run when an admitted connection ends.",
            example: HookCommand.examples.close),
        Setting(
            "on_lockout", \.onLockout, .command, help: "Command to run when a client is locked out.",
            flagHelp: "Shell command to run when a client is locked out.",
            example: HookCommand.examples.lockout),
    ]
}
