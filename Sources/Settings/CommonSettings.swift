// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// The settings that both daemons share.
package protocol CommonSettings: Equatable, Sendable {
    /// The key file for guests or targets without their own; nil if not set.
    var keyFile: FilePath? { get set }
    /// The ports of the protected services.
    var targetPorts: [UInt16] { get set }
    /// The bit that this program uses in packet marks and, on the server, in connection marks.
    ///
    /// The firewall rules use the same.
    var mark: UInt32 { get set }
    /// Whether codes are not bound to the minute.
    var noTime: Bool { get set }
    /// The Unix socket on which the daemon answers requests; nil for none.
    var controlSocket: FilePath? { get set }
    /// The file for metrics in the text format of Prometheus; nil for none.
    var metricsFile: FilePath? { get set }
    /// The user that the daemon runs as after start-up, as `NAME` or `NAME:GROUP`; nil to keep the user.
    var user: String? { get set }
    /// Whether connection tracking should count the bytes of connections.
    var countBytes: Bool { get set }
    /// The level of detail of the log.
    var logLevel: LogLevel { get set }
    /// The format of log lines.
    var logFormat: LogFormat { get set }
    /// The destination of log lines.
    var logTarget: LogTarget { get set }
    /// The variant of iptables that contains the firewall rules.
    ///
    /// Only the firewall script uses it.
    var iptables: IPTablesChoice { get set }

    /// Creates settings with all defaults.
    init()

    /// The file that is read if it exists and no other is named.
    static var defaultFile: FilePath { get }
    /// Reads the settings from a file.
    ///
    /// `now`, in seconds since 1970, is used for warnings about expired guests.
    mutating func take(_ table: TableReader, now: Int64)
    /// Returns the conflicts between the settings.
    func conflicts() -> [SettingsConflict]
    /// Writes all keys and their values in the syntax and the order of the file.
    func write(to writer: inout SettingsWriter)
    /// The flags for the firewall script.
    var firewallFlags: [String] { get }
}

/// The key file that is used if none is set and there are no guests or targets with their own.
package let defaultKeyFile: FilePath = "/etc/port_protector.dat"

/// The default bit of the marks.
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
        // sun_path of unix(7) holds 108 bytes, including the terminating zero.
        if let controlSocket, controlSocket.string.utf8.count > 107 {
            conflicts.append(
                SettingsConflict("control_socket", "the path is longer than the 107 bytes that a socket's can have"))
        }
        return conflicts
    }

    /// The flags for the firewall script that set the mark.
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

    /// The flags for the firewall script that both daemons share.
    var commonFirewallFlags: [String] { iptables == .auto ? [] : ["--iptables", iptables.rawValue] }
}

extension SettingsConflict {
    /// Creates a conflict whose text begins with its key.
    init(_ key: String, _ text: String) {
        self.init(location: SettingsLocation(key), text: "\(key): \(text)")
    }

    /// Creates a conflict within a guest or target.
    init(_ name: String, _ key: String, in table: Int, _ text: String) {
        self.init(location: SettingsLocation(key, in: table), text: "\(name).\(key): \(text)")
    }
}
