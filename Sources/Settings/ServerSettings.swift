// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage
package import Wire

/// The settings of `tcpknock-server`.
///
/// A new value has the defaults.
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

    package init() {}

    package static let defaultFile: FilePath = "/etc/tcpknock/server.toml"

    /// Returns the default configuration file of an instance.
    package static func defaultFile(of instance: String?) -> FilePath {
        instance.map { FilePath("/etc/tcpknock/server@\($0).toml") } ?? defaultFile
    }

    /// Returns the default control socket of an instance.
    package static func defaultControlSocket(of instance: String?) -> FilePath {
        instance.map { FilePath("/run/tcpknock/server@\($0).sock") } ?? "/run/tcpknock/server.sock"
    }

    /// The guests, or if there are none, a guest named `default` with the shared key file.
    package var effectiveGuests: [GuestSettings] {
        guests.isEmpty ? [GuestSettings(name: "default", keyFile: keyFile ?? defaultKeyFile)] : guests
    }
}

/// The settings of a guest.
package struct GuestSettings: Equatable, Sendable {
    /// The unique name of the guest.
    package var name: String
    /// The guest's key file.
    package var keyFile: FilePath
    /// The ports that the guest can reach; nil for all target ports, empty for a knock that only runs `onAdmit`.
    package var ports: [UInt16]?
    /// The networks from which the guest may knock; empty for all.
    package var networks: [IPPrefix] = []
    /// The time at which the guest's key expires, in seconds since 1970; nil if it does not expire.
    package var expires: Int64?
    /// Whether the guest may knock at all.
    package var enabled = true
    /// Whether codes that are not bound to an address are accepted (docs/PROTOCOL.md §4.2, roaming).
    package var roaming = false
    /// The command to run when a connection of the guest is admitted.
    package var onAdmit: HookCommand?
    /// The command to run when an admitted connection of the guest has ended.
    package var onClose: HookCommand?
    /// The command to run when the guest is locked out.
    package var onLockout: HookCommand?

    /// Creates a guest without limits.
    package init(name: String, keyFile: FilePath) {
        self.name = name
        self.keyFile = keyFile
    }
}
