// SPDX-License-Identifier: GPL-2.0-or-later
package import Settings
package import Wire

/// The two roles that a host can have, both at once too.
package enum Role: String, CaseIterable, Sendable {
    /// Protects ports.
    case server
    /// Knocks at ports.
    case client

    /// The name of the daemon's program.
    package var program: String { "tcpknock-\(rawValue)" }
    /// The queue where none is given.
    package var defaultQueue: UInt16 { self == .server ? 100 : 200 }
    /// What is the case while nobody listens to the queue.
    var withoutDaemon: String {
        self == .server
            ? "nobody can open a new connection to the protected ports"
            : "connections go out without a knock, and protected servers do not answer"
    }
}

/// What the installation of one role on this host is meant to be.
package struct DoctorSubject: Sendable {
    /// A key file, and whose it is.
    package struct NamedKey: Sendable {
        /// The name of the guest or target; empty where there is only one key.
        package let name: String
        /// Where the file is.
        package let path: String

        /// Takes both.
        package init(name: String = "", path: String) {
            self.name = name
            self.path = path
        }
    }

    /// Which one it is.
    package let installation: Installation
    /// The queues that the daemon listens to.
    package var queues: ClosedRange<UInt16>
    /// The ports of the protected services.
    package var targetPorts: [UInt16] = [22]
    /// Whose ports are protected; only the server uses it.
    package var protect = [Place.own]
    /// Who needs no knock; only the server uses it.
    package var exempt: [Place] = []
    /// The bit of packet and connection marks that says 'verified'; only the server uses it.
    package var mark: UInt32 = 0x1000
    /// The key files.
    package var keyFiles = [NamedKey(path: "/etc/port_protector.dat")]
    /// In which folder the daemon pins its programs for the kernel; only the server uses it.
    package var pinFolder = "/sys/fs/bpf/tcpknock"
    /// The path of the control socket; nil for none.
    package var controlSocket: String?
    /// The path of the configuration; nil for none.
    package var configuration: String?
    /// Whether codes depend on the clock.
    package var usesTime = true
    /// The addresses that servers are told to see; only the client uses them.
    package var natAddresses: [IPAddress] = []
    /// Where the client's targets are: addresses, prefixes and names; only the client uses them.
    package var targets: [TargetHost] = []
    /// Whether the client leaves its address out of the code, so that translation does not matter.
    package var isRoaming = false
    /// Whether the server answers what it refuses, so that the rules drop nothing themselves.
    package var answersRefused = false
    /// The user that the daemon becomes; nil if it stays who it is.
    package var user: String?
    /// In which kind of iptables the rules are to be.
    package var iptables = IPTablesChoice.auto
    /// What is wrong with the configuration, so that the other values are not those of the daemon; nil if nothing is.
    package var configurationError: String?
    /// Flags that were given over the configuration, for the daemon.
    package var given: [String] = []
    /// Where these values come from, for people.
    package var origin = "the defaults"

    /// Server or client.
    package var role: Role { installation.role }

    /// Takes the defaults of a role.
    ///
    /// - Parameters:
    ///   - role: Server or client.
    ///   - instance: The name of a server that is one of several.
    package init(_ role: Role, instance: String? = nil) {
        installation = Installation(role, instance: instance)
        queues = role.defaultQueue...role.defaultQueue
    }

    /// `100` or `100:103`, as `--queue-num` has it.
    package var queueText: String {
        queues.count == 1 ? "\(queues.lowerBound)" : "\(queues.lowerBound):\(queues.upperBound)"
    }

    /// Whether ports of other hosts are protected, or may be.
    var isGateway: Bool { role == .server && protect != [.own] }

    /// `0x1000`, as `--mark` has it.
    package var markText: String { "0x" + String(mark, radix: 16) }
}

// MARK: What people are to type

extension DoctorSubject {
    /// A command line of the firewall script: with all values for `up`, which needs them.
    ///
    /// - Parameters:
    ///   - command: What the script is to do.
    ///   - dropsPorts: Whether `up` is to protect fewer ports than now, which it refuses otherwise.
    /// - Returns: What a person types.
    func script(_ command: String, dropsPorts: Bool = false) -> String {
        let words = ["/usr/local/lib/tcpknock/\(role.rawValue).sh", command] + installation.flags
        var line = words.joined(separator: " ")
        guard command == "up" else { return line }
        if targetPorts != [22] { line += targetPorts.map { " --target-port \($0)" }.joined() }
        if queues != role.defaultQueue...role.defaultQueue { line += " --queue-num \(queueText)" }
        if role == .server, mark != 0x1000 { line += " --mark \(markText)" }
        if protect != [.own] { line += protect.map { " --protect \($0)" }.joined() }
        line += exempt.map { " --exempt \($0)" }.joined()
        if answersRefused { line += " --on-failure reset" }
        if iptables != .auto { line += " --iptables \(iptables.rawValue)" }
        if dropsPorts { line += " --drop-ports" }
        return line
    }

    /// The command line of the daemon.
    var daemonCommand: String {
        var line = ([role.program] + installation.flags).joined(separator: " ")
        if let configuration {
            return ([line, "--config", configuration.shellWord] + given.map(\.shellWord)).joined(separator: " ")
        }
        if let key = keyFiles.first, key.path != "/etc/port_protector.dat" {
            line += " --key-file \(key.path.shellWord)"
        }
        if targetPorts != [22] { line += targetPorts.map { " --target-port \($0)" }.joined() }
        if queues != role.defaultQueue...role.defaultQueue { line += " --queue-num \(queueText)" }
        if role == .server, mark != 0x1000 { line += " --mark \(markText)" }
        if protect != [.own] { line += protect.map { " --protect \($0)" }.joined() }
        line += exempt.map { " --exempt \($0)" }.joined()
        if !usesTime { line += " --no-time" }
        if iptables != .auto { line += " --iptables \(iptables.rawValue)" }
        return line
    }
}
