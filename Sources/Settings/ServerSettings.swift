// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage
package import Wire

/// All that `tcpknock-server` can be set to; a new one has the defaults.
package struct ServerSettings: CommonSettings {
    package var keyFile: FilePath?
    package var targetPorts: [UInt16] = [22]
    package var mark = defaultMark
    package var noTime = false
    package var controlSocket: FilePath? = ServerSettings.defaultControlSocket(of: nil)
    package var metricsFile: FilePath?
    package var user: String?
    package var countBytes = true
    package var logLevel = LogLevel.info
    package var logFormat = LogFormat.text
    package var logTarget = LogTarget.stderr
    package var iptables = IPTablesChoice.auto

    /// The queues of the firewall rules, with a thread for each.
    package var queues: ClosedRange<UInt16> = 100...100
    /// Whose ports are protected: at least one place.
    package var protect = [Place.own]
    /// Whose connections need no knock.
    package var exempt: [Place] = []
    /// How long a wrong third ACK locks its sender out, in seconds: 1...86,400.
    package var lockoutSeconds: UInt32 = 120
    /// Whom it locks out, where there is more than one guest.
    package var lockoutScope = LockoutScope.guest
    /// How many connections a second each guest may begin, where there is more than one: 0 (any number)...1,000,000.
    package var guestSYNRate: UInt32 = 2000
    /// What becomes of a SYN without a right code.
    package var onFailure = FailureAnswer.drop
    /// How the guest is found whose key a SYN's code is of.
    package var guestSearch = GuestSearch.auto
    /// Whether a SYN may carry data (TCP Fast Open).
    package var fastOpen = false
    /// After how many wrong codes an address is locked out: 0 (never)...1,000,000.
    package var lockoutAfterWrongCodes: UInt32 = 0
    /// Within how many seconds: 1...86,400.
    package var wrongCodeSeconds: UInt32 = 600
    /// Whether SYNs with wrong codes are dropped by a program in the kernel.
    package var kernelFilter = KernelFilterChoice.auto
    /// Where that program is pinned, as in the firewall rules.
    package var pinFolder: FilePath = "/sys/fs/bpf/tcpknock"
    /// What is done about firewall rules that somebody has taken away.
    package var rulesGuard = RulesGuardChoice.restore
    /// The folder for what is to outlive the daemon; nil for none.
    package var stateFolder: FilePath? = "/var/lib/tcpknock"
    /// The time limit of a hook in seconds: 1...3,600.
    package var hookSeconds: UInt32 = 10
    /// How many hooks run at once: 1...1,024.
    package var hookLimit: UInt32 = 8
    /// What runs when a connection was admitted, for guests without a command of their own.
    package var onAdmit: HookCommand?
    /// What runs when an admitted connection has ended, for guests without a command of their own.
    package var onClose: HookCommand?
    /// What runs when somebody is locked out, for guests without a command of their own.
    package var onLockout: HookCommand?
    /// Who may knock, each with a key; none: one who holds `keyFile`.
    package var guests: [GuestSettings] = []

    /// Which of several servers on this host it is; nil for the one without a name.
    ///
    /// It is given by a flag alone.
    package var instance: String?

    /// All defaults.
    package init() {}

    package static let defaultFile: FilePath = "/etc/tcpknock/server.toml"

    /// The usual configuration file of an instance.
    package static func defaultFile(of instance: String?) -> FilePath {
        instance.map { FilePath("/etc/tcpknock/server@\($0).toml") } ?? defaultFile
    }

    /// The usual control socket of an instance.
    package static func defaultControlSocket(of instance: String?) -> FilePath {
        instance.map { FilePath("/run/tcpknock/server@\($0).sock") } ?? "/run/tcpknock/server.sock"
    }

    /// Who may knock: the guests, else one named `default` with the key file.
    package var effectiveGuests: [GuestSettings] {
        guests.isEmpty ? [GuestSettings(name: "default", keyFile: keyFile ?? defaultKeyFile)] : guests
    }
}

/// Somebody who may knock.
package struct GuestSettings: Equatable, Sendable {
    /// What logs call them; no two have the same.
    package var name: String
    /// Their key.
    package var keyFile: FilePath
    /// The ports that they reach: nil for all target ports, none for a knock that only runs `onAdmit`.
    package var ports: [UInt16]?
    /// Where they may knock from; none: from everywhere.
    package var networks: [IPPrefix] = []
    /// When their key ends to be good, as seconds since 1970; nil: never.
    package var expires: Int64?
    /// Whether they may knock at all.
    package var enabled = true
    /// Whether codes that are not bound to an address are good (docs/PROTOCOL.md, roaming).
    package var roaming = false
    /// What runs when a connection of theirs was admitted.
    package var onAdmit: HookCommand?
    /// What runs when an admitted connection of theirs has ended.
    package var onClose: HookCommand?
    /// What runs when they were locked out.
    package var onLockout: HookCommand?

    /// A guest with a key and no limits.
    package init(name: String, keyFile: FilePath) {
        self.name = name
        self.keyFile = keyFile
    }
}
