// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
package import Settings
package import SystemPackage
package import Wire

/// The intended values of an installation on this host.
package struct DoctorSubject: Sendable {
    /// A key file, with the name of the guest or target that it belongs to.
    package struct NamedKey: Sendable {
        /// The name of the guest or target; empty if there is only one key.
        package let name: String
        /// The path of the file.
        package let path: String

        package init(name: String = "", path: String) {
            self.name = name
            self.path = path
        }
    }

    /// The installation.
    package let installation: Installation
    /// The queues that the daemon listens to.
    package var queues: ClosedRange<UInt16>
    /// The ports of the protected services.
    package var targetPorts = SharedSettings.defaults.targetPorts
    /// The places whose ports are protected; only the server uses it.
    package var protect = [Place.own]
    /// The places that need no knock; only the server uses it.
    package var exempt: [Place] = []
    /// The bit of packet and connection marks that means 'verified', or 'seen by the daemon'.
    package var mark = SharedSettings.defaults.mark
    /// The key files.
    package var keyFiles = [NamedKey(path: SharedSettings.defaultKeyFile.string)]
    /// The folder in which the daemon pins its programs for the kernel; only the server uses it.
    package var pinFolder = ServerSettings().pinFolder.string
    /// The path of the control socket; nil if there is none.
    package var controlSocket: String?
    /// The path of the configuration; nil if there is none.
    package var configuration: String?
    /// Whether codes depend on the clock.
    package var usesTime = true
    /// The addresses that the client is told servers see (`--nat-ip`); only the client uses it.
    package var natAddresses: [IPAddress] = []
    /// The addresses, prefixes and names of the client's targets; only the client uses it.
    package var targets: [TargetHost] = []
    /// Whether all codes of the client leave its address out, so that translation does not matter.
    package var isRoaming = false
    /// Whether the server answers the connections that it refuses, so that the rules drop nothing themselves.
    package var answersRefused = false
    /// The user that the daemon switches to; nil if it does not switch.
    package var user: String?
    /// The kind of iptables that the rules should be in.
    package var iptables = IPTablesChoice.auto
    /// The error in the configuration; nil if there is none.
    ///
    /// With an error, the other values are not those of the daemon.
    package var configurationError: String?
    /// The folder of the firewall scripts.
    package var scripts = FirewallScript.installedFolder
    /// Daemon flags that override the configuration.
    package var given: [String] = []
    /// A description of where these values come from.
    package var origin = "the defaults"

    /// Server or client.
    package var role: Role { installation.role }

    /// Starts with the defaults of a role.
    ///
    /// - Parameters:
    ///   - role: Server or client.
    ///   - instance: The name of a server that is one of several; nil otherwise.
    package init(_ role: Role, instance: String? = nil) {
        installation = Installation(role, instance: instance)
        queues = role.defaultQueue...role.defaultQueue
    }

    /// The queues as `--queue-num` takes them: `100` or `100:103`.
    package var queueText: String {
        queues.count == 1 ? "\(queues.lowerBound)" : "\(queues.lowerBound):\(queues.upperBound)"
    }

    /// Whether ports of other hosts are, or may be, protected.
    var isGateway: Bool { role == .server && protect != [.own] }

    /// The mark as `--mark` takes it: `0x1000`.
    package var markText: String { Self.text(mark: mark) }

    /// A mark as `--mark` takes it.
    static func text(mark: UInt32) -> String { "0x" + String(mark, radix: 16) }
}

// MARK: Commands for people to type

extension DoctorSubject {
    /// A command line of the firewall script; for `up`, with all values.
    ///
    /// - Parameters:
    ///   - command: The command of the script.
    ///   - dropsPorts: Whether `up` may protect fewer ports than now, which it otherwise refuses.
    /// - Returns: The line for a person to type.
    func script(_ command: String, dropsPorts: Bool = false) -> String {
        let words = [scripts.appending("\(role.rawValue).sh").string, command] + installation.flags
        var line = words.joined(separator: " ")
        guard command == "up" else { return line }
        line += changedFlags.map { " " + $0.shellWord }.joined()
        if dropsPorts { line += " --drop-ports" }
        return line
    }

    /// The flags for script and daemon that differ from the defaults.
    private var changedFlags: [String] {
        func flags<Settings: DaemonSettings>(_ settings: Settings) -> [String] {
            var settings = settings
            (settings.targetPorts, settings.mark, settings.iptables) = (targetPorts, mark, iptables)
            return settings.firewallFlags(withDefaults: false)
        }
        guard role == .server else {
            var settings = ClientSettings()
            settings.queue = queues.lowerBound
            return flags(settings)
        }
        var settings = ServerSettings()
        (settings.queues, settings.protect, settings.exempt) = (queues, protect, exempt)
        (settings.onFailure, settings.pinFolder) = (answersRefused ? .reset : .drop, FilePath(pinFolder))
        return flags(settings)
    }

    /// The flags with which the script's `status` judges the rules of others.
    var statusFlags: [String] {
        let flags =
            targetPorts.flatMap { ["--target-port", "\($0)"] } + ["--queue-num", queueText, "--mark", markText]
        return flags + (role == .client ? [] : protect.flatMap { ["--protect", "\($0)"] })
    }

    /// Whether rules that are up were made with the values that `statusFlags` give.
    func hasValues(of status: FirewallStatus) -> Bool {
        status.state != .down && status.ports == targetPorts.sorted() && status.queue == queueText
            && status.mark == markText && (role == .client || Set(status.protect) == Set(protect))
    }

    /// The command line that starts the daemon.
    var daemonCommand: String {
        var line = ([role.program] + installation.flags).joined(separator: " ")
        if let configuration {
            return ([line, "--config", configuration.shellWord] + given.map(\.shellWord)).joined(separator: " ")
        }
        if let key = keyFiles.first, key.path != SharedSettings.defaultKeyFile.string {
            line += " --key-file \(key.path.shellWord)"
        }
        line += changedFlags.map { " " + $0.shellWord }.joined()
        if !usesTime { line += " --no-time" }
        return line
    }
}
