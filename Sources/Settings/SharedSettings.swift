// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// The settings that both daemons share.
package struct SharedSettings: Equatable, SettingOwner {
    /// The key file for guests or targets without their own; nil if not set.
    package var keyFile: FilePath?
    /// The ports of the protected services.
    package var targetPorts: [UInt16] = [22]
    /// The bit that this program uses in packet marks and, on the server, in connection marks.
    package var mark: UInt32 = 0x1000
    /// Whether codes are not bound to the minute.
    package var noTime = false
    /// The Unix socket on which the daemon answers requests; nil for none.
    package var controlSocket: FilePath?
    /// The file for metrics in the text format of Prometheus; nil for none.
    package var metricsFile: FilePath?
    /// The user that the daemon runs as after start-up, as `NAME` or `NAME:GROUP`; nil to keep the user.
    package var user: String?
    /// Whether connection tracking should count the bytes of connections.
    package var countBytes = true
    /// The level of detail of the log.
    package var logLevel = LogLevel.info
    /// The format of log lines.
    package var logFormat = LogFormat.text
    /// The destination of log lines.
    package var logTarget = LogTarget.stderr
    /// The variant of iptables that contains the firewall rules.
    package var iptables = IPTablesChoice.auto

    package static let defaults = SharedSettings()

    /// The key file that is used if none is set and there are no guests or targets with their own.
    package static let defaultKeyFile: FilePath = "/etc/port_protector.dat"

    /// The folder of the configuration files.
    static let configurationFolder: FilePath = "/etc/tcpknock"
    /// The folder of the control sockets.
    package static let socketFolder: FilePath = "/run/tcpknock"

    /// Describes the settings for a daemon.
    ///
    /// - Parameters:
    ///   - controlSocket: The daemon's usual control socket.
    ///   - noTimeChanges: The moment at which the daemon takes a change of `no_time`.
    /// - Returns: The descriptions.
    static func settings(controlSocket: FilePath, noTimeChanges: SettingChange) -> [Setting<SharedSettings>] {
        [
            Setting(
                "key_file", \.keyFile, .path, help: "Key file that this host shares with the other.",
                shownDefault: .string(defaultKeyFile.string)),
            Setting(
                "target_ports", \.targetPorts, .ports.notEmpty("there is no port in it; the default is [22]"),
                flag: "target-port", help: "Ports of the protected services.", firewall: .always),
            Setting(
                "mark", \.mark, .markBit,
                help: "Bit of the packet mark that tcpknock uses; the firewall rules must use the same.",
                change: .atStart, firewall: .always),
            Setting(
                "no_time", \.noTime, .boolean,
                help: "Do not bind codes to the minute, for hosts without a clock. Both hosts need the same setting.",
                change: noTimeChanges),
            Setting(
                "control_socket", \.controlSocket, .pathOrNone,
                help: "Socket on which the daemon answers 'tcpknock'; '' for none.",
                shownDefault: .string(controlSocket.string), change: .atStart),
            Setting(
                "metrics_file", \.metricsFile, .pathOrNone,
                help: "File to write counters to, in Prometheus text format; '' for none.", change: .atStart),
            Setting(
                "user", \.user, .userOrNone,
                help: "User to run as after start-up; '' for the user that started the daemon.", change: .atStart),
            Setting(
                "count_bytes", \.countBytes, .boolean, flag: "no-count-bytes",
                help: "Count the bytes of connections in connection tracking.",
                flagHelp: "Do not count the bytes of connections in connection tracking.", change: .atStart),
            Setting(
                "log_level", \.logLevel, .choice("level"), help: "Least severe level to log.", change: .atStart),
            Setting("log_format", \.logFormat, .choice("format"), help: "Format of log lines.", change: .atStart),
            Setting("log_target", \.logTarget, .choice("target"), help: "Where to log.", change: .atStart),
            Setting(
                "iptables", \.iptables, .choice("which"),
                help: "Kind of iptables for the firewall rules; auto: the kind that has them already, else the host's "
                    + "own. Only the firewall scripts use it.", firewall: .unlessDefault),
        ]
    }

    var conflicts: [SettingsConflict] {
        // sun_path of unix(7) holds 108 bytes, including the terminating zero.
        guard let controlSocket, controlSocket.string.utf8.count > 107 else { return [] }
        return [SettingsConflict("control_socket", "the path is longer than the 107 bytes that a socket's can have")]
    }
}
