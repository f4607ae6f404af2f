// SPDX-License-Identifier: GPL-2.0-or-later
internal import ArgumentParser
internal import Linux
internal import Settings
internal import SystemPackage

/// The flags that both daemons share.
///
/// They override the configuration file, and are nil or empty if not given.
package struct CommonOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Configuration file; '' for none. (default: the one in /etc/tcpknock, if it exists)",
            valueName: "path"))
    var config: String?

    @Flag(help: "Check configuration and key files, print the settings in force as a configuration file, and exit.")
    package var check = false

    @Flag(
        name: [.customLong("firewall-flags"), .customLong("firewall_flags")],
        help: "Print the flags that the firewall script needs for this configuration, and exit.")
    package var firewallFlags = false

    @Option(
        name: [.customLong("key-file"), .customLong("key_file")],
        help: ArgumentHelp(
            "Key file shared by both hosts. (default: /etc/port_protector.dat)", valueName: "path"))
    var keyFile: String?

    @Option(
        name: [.customLong("target-port"), .customLong("target_port")], parsing: .singleValue,
        help: ArgumentHelp("Port of a protected service; repeat for more. (default: 22)", valueName: "port"),
        transform: Port.parse)
    var targetPorts: [UInt16] = []

    @Option(
        help: ArgumentHelp(
            "Bit of the packet mark that tcpknock uses; the firewall rules must use the same. (default: 0x1000)",
            valueName: "bit"),
        transform: MarkBit.parse)
    var mark: UInt32?

    @Flag(
        name: [.customLong("no-time"), .customLong("no_time")],
        help: "Do not bind codes to the minute, for hosts without a clock. Both hosts need the same setting.")
    var noTime = false

    @Option(
        name: [.customLong("control-socket"), .customLong("control_socket")],
        help: ArgumentHelp(
            "Socket on which the daemon answers 'tcpknock'; '' for none. (default: in /run/tcpknock)",
            valueName: "path"))
    var controlSocket: String?

    @Option(
        name: [.customLong("metrics-file"), .customLong("metrics_file")],
        help: ArgumentHelp(
            "File to write counters to, in Prometheus text format; '' for none. (default: none)", valueName: "path"))
    var metricsFile: String?

    @Flag(
        name: [.customLong("no-count-bytes"), .customLong("no_count_bytes")],
        help: "Do not count the bytes of connections in connection tracking.")
    var noCountBytes = false

    @Option(
        help: ArgumentHelp(
            "User to run as after start-up; '' to stay the user that started it. (default: stay)",
            valueName: "name[:group]"),
        transform: UserArgument.parse)
    var user: String?

    @Option(
        name: [.customLong("default-user"), .customLong("default_user")],
        help: ArgumentHelp(
            "User to run as when the configuration names none, if the host has such a user and root starts it.",
            valueName: "name[:group]"),
        transform: UserArgument.parse)
    var defaultUser: String?

    @Flag(name: .customLong("open-files"), help: .hidden)
    var opensFiles = false

    @Option(
        name: [.customLong("log-level"), .customLong("log_level")],
        help: ArgumentHelp("Least severe level to log. (default: info)", valueName: "level"))
    var logLevel: LogLevel?

    @Option(
        name: [.customLong("log-format"), .customLong("log_format")],
        help: ArgumentHelp("Format of log lines. (default: text)", valueName: "format"))
    var logFormat: LogFormat?

    @Option(
        name: [.customLong("log-target"), .customLong("log_target")],
        help: ArgumentHelp("Where to log. (default: stderr)", valueName: "target"))
    var logTarget: LogTarget?

    @Option(
        help: ArgumentHelp(
            "Kind of iptables for the firewall rules, for --firewall-flags; auto: the kind that has them "
                + "already, else the host's own. (default: auto)", valueName: "which"))
    var iptables: IPTablesChoice?

    /// Creates flags as if none were given.
    package init() {}

    func apply<Settings>(to settings: inout EffectiveSettings<Settings>) {
        settings.set(\.keyFile, "key_file", keyFile.map { FilePath($0) })
        settings.set(\.targetPorts, "target_ports", targetPorts.isEmpty ? nil : targetPorts)
        settings.set(\.mark, "mark", mark)
        settings.set(\.noTime, "no_time", noTime ? true : nil)
        settings.set(\.controlSocket, "control_socket", controlSocket.map { $0.isEmpty ? nil : FilePath($0) })
        settings.set(\.metricsFile, "metrics_file", metricsFile.map { $0.isEmpty ? nil : FilePath($0) })
        settings.set(\.user, "user", user.map { $0.isEmpty ? nil : $0 })
        if let defaultUser, settings.isDefault("user") {
            if Identity.canBecome(defaultUser) {
                settings.setDefault(\.user, "user", defaultUser)
            } else {
                settings.warn("the daemon does not become \"\(defaultUser)\": this host has no such user")
            }
        }
        settings.set(\.countBytes, "count_bytes", noCountBytes ? false : nil)
        settings.set(\.logLevel, "log_level", logLevel)
        settings.set(\.logFormat, "log_format", logFormat)
        settings.set(\.logTarget, "log_target", logTarget)
        settings.set(\.iptables, "iptables", iptables)
    }
}
