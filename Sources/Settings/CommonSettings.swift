// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// What both daemons can be set to.
package protocol CommonSettings: Equatable, Sendable {
    /// The key file of whoever has none of their own; nil: not given.
    var keyFile: FilePath? { get set }
    /// The ports of the protected services.
    var targetPorts: [UInt16] { get set }
    /// The bit, in packet marks and on the server in connection marks, that belongs to this program, as in the firewall
    /// rules.
    var mark: UInt32 { get set }
    /// Whether codes are not bound to the minute.
    var noTime: Bool { get set }
    /// The Unix socket on which the daemon answers questions; nil: none.
    var controlSocket: FilePath? { get set }
    /// The file for counters in the text format of Prometheus; nil: none.
    var metricsFile: FilePath? { get set }
    /// Whom the daemon runs as once it has begun, as `NAME` or `NAME:GROUP`; nil: who started it.
    var user: String? { get set }
    /// Whether connection tracking is told to count the bytes of connections.
    var countBytes: Bool { get set }
    /// How much is logged.
    var logLevel: LogLevel { get set }
    /// How log lines look.
    var logFormat: LogFormat { get set }
    /// Where log lines go.
    var logTarget: LogTarget { get set }
    /// In which kind of iptables the rules are; only the script with the rules uses it.
    var iptables: IPTablesChoice { get set }

    /// All defaults.
    init()

    /// The file that is read where it exists and no other is named.
    static var defaultFile: FilePath { get }
    /// Takes the settings from a file; `now`, in seconds since 1970, is for warnings of what has expired.
    mutating func take(_ table: TableReader, now: Int64)
    /// What does not go together.
    func conflicts() -> [SettingsConflict]
    /// All keys with their values in the syntax of the file, in its order.
    func write(to writer: inout SettingsWriter)
    /// The flags for the script with the firewall rules.
    var firewallFlags: [String] { get }
}

/// The key file that is used where none is given, and no guests or targets have one of their own.
package let defaultKeyFile: FilePath = "/etc/port_protector.dat"

/// The bit of the marks, where none is given.
package let defaultMark: UInt32 = 0x1000

extension CommonSettings {
    mutating func takeCommon(_ table: TableReader) {
        let folder = table.folder
        table.read("key_file", into: &keyFile) { value throws(Refusal) in try value.path(in: folder) }
        table.read("target_ports", into: &targetPorts) { value throws(Refusal) in try value.ports() }
        table.read("mark", into: &mark) { value throws(Refusal) in try value.markBit() }
        table.read("no_time", into: &noTime) { value throws(Refusal) in try value.boolean() }
        table.read("control_socket", into: &controlSocket) { value throws(Refusal) in
            try value.optionalPath(in: folder)
        }
        table.read("metrics_file", into: &metricsFile) { value throws(Refusal) in try value.optionalPath(in: folder) }
        table.read("user", into: &user) { value throws(Refusal) in try value.optionalUser() }
        table.read("count_bytes", into: &countBytes) { value throws(Refusal) in try value.boolean() }
        table.read("log_level", into: &logLevel) { value throws(Refusal) in try value.choice() }
        table.read("log_format", into: &logFormat) { value throws(Refusal) in try value.choice() }
        table.read("log_target", into: &logTarget) { value throws(Refusal) in try value.choice() }
        table.read("iptables", into: &iptables) { value throws(Refusal) in try value.choice() }
    }

    var commonConflicts: [SettingsConflict] {
        var conflicts: [SettingsConflict] = []
        if targetPorts.isEmpty {
            conflicts.append(SettingsConflict("target_ports", "there is no port in it; the default is [22]"))
        }
        // sun_path of unix(7) holds 108 bytes with the zero at the end.
        if let controlSocket, controlSocket.string.utf8.count > 107 {
            conflicts.append(
                SettingsConflict("control_socket", "the path is longer than the 107 bytes that a socket's can have"))
        }
        return conflicts
    }

    /// The mark for the script with the firewall rules.
    var markFlags: [String] { ["--mark", "0x" + String(mark, radix: 16)] }

    func writeCommon(to writer: inout SettingsWriter) {
        writer.add(bit: "mark", mark)
        writer.add("no_time", noTime)
        writer.add("control_socket", controlSocket?.string ?? "")
        writer.add("metrics_file", metricsFile?.string ?? "")
        writer.add("user", user ?? "")
        writer.add("count_bytes", countBytes)
        writer.add("log_level", logLevel)
        writer.add("log_format", logFormat)
        writer.add("log_target", logTarget)
        writer.add("iptables", iptables)
    }

    /// The flags of the script with the firewall rules that are the same for both.
    var commonFirewallFlags: [String] { iptables == .auto ? [] : ["--iptables", iptables.rawValue] }
}

extension SettingsConflict {
    /// A conflict whose text begins with its key.
    init(_ key: String, _ text: String) {
        self.init(location: SettingsLocation(key), text: "\(key): \(text)")
    }

    /// A conflict within a guest or target.
    init(_ name: String, _ key: String, in table: Int, _ text: String) {
        self.init(location: SettingsLocation(key, in: table), text: "\(name).\(key): \(text)")
    }
}
