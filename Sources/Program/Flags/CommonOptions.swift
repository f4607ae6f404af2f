// SPDX-License-Identifier: GPL-2.0-or-later
internal import ArgumentParser
internal import Linux
internal import Settings
internal import SystemPackage

/// The flags that both daemons have.
///
/// All of them override the configuration file, and are nil or empty if they were not given.
package struct CommonOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The configuration file; '' for none. (default: the one in /etc/tcpknock, if it is there)",
            valueName: "path"))
    var config: String?

    @Flag(help: "Check configuration and key files, print what is in effect in the syntax of the file, and end.")
    package var check = false

    @Flag(
        name: [.customLong("firewall-flags"), .customLong("firewall_flags")],
        help: "Print the flags for the script with the firewall rules that belong to the configuration, and end.")
    package var firewallFlags = false

    @Option(
        name: [.customLong("key-file"), .customLong("key_file")],
        help: ArgumentHelp(
            "The key file that both hosts share. (default: /etc/port_protector.dat)", valueName: "path"))
    var keyFile: String?

    @Option(
        name: [.customLong("target-port"), .customLong("target_port")], parsing: .singleValue,
        help: ArgumentHelp("The port of a protected service; may be given again. (default: 22)", valueName: "port"),
        transform: Port.parse)
    var targetPorts: [UInt16] = []

    @Option(
        help: ArgumentHelp(
            "The bit of the packet mark that belongs to this program, as in the firewall rules. (default: 0x1000)",
            valueName: "bit"),
        transform: MarkBit.parse)
    var mark: UInt32?

    @Flag(
        name: [.customLong("no-time"), .customLong("no_time")],
        help: "Do not bind codes to the minute, for hosts without a clock. Both sides must agree.")
    var noTime = false

    @Option(
        name: [.customLong("control-socket"), .customLong("control_socket")],
        help: ArgumentHelp(
            "The socket on which the daemon answers questions; '' for none. (default: in /run/tcpknock)",
            valueName: "path"))
    var controlSocket: String?

    @Option(
        name: [.customLong("metrics-file"), .customLong("metrics_file")],
        help: ArgumentHelp(
            "The file for counters, in the text format of Prometheus; '' for none. (default: none)", valueName: "path"))
    var metricsFile: String?

    @Flag(
        name: [.customLong("no-count-bytes"), .customLong("no_count_bytes")],
        help: "Do not have connection tracking count the bytes of connections.")
    var noCountBytes = false

    @Option(
        help: ArgumentHelp(
            "Whom the daemon runs as once it has begun; '' for who started it. (default: who started it)",
            valueName: "name[:group]"),
        transform: UserArgument.parse)
    var user: String?

    @Option(
        name: [.customLong("default-user"), .customLong("default_user")],
        help: ArgumentHelp(
            "Whom it runs as where the configuration does not say, if the host has such a user and root starts it.",
            valueName: "name[:group]"),
        transform: UserArgument.parse)
    var defaultUser: String?

    @Flag(name: .customLong("open-files"), help: .hidden)
    var opensFiles = false

    @Option(
        name: [.customLong("log-level"), .customLong("log_level")],
        help: ArgumentHelp("How much is logged. (default: info)", valueName: "level"))
    var logLevel: LogLevel?

    @Option(
        name: [.customLong("log-format"), .customLong("log_format")],
        help: ArgumentHelp("How log lines look. (default: text)", valueName: "format"))
    var logFormat: LogFormat?

    @Option(
        name: [.customLong("log-target"), .customLong("log_target")],
        help: ArgumentHelp("Where log lines go. (default: stderr)", valueName: "target"))
    var logTarget: LogTarget?

    @Option(
        help: ArgumentHelp(
            "In which kind of iptables the firewall rules are, for --firewall-flags; auto is the one in which they are "
                + "already, else the host's. (default: auto)", valueName: "which"))
    var iptables: IPTablesChoice?

    /// As if no flag were given.
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
