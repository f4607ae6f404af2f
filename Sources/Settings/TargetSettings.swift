// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// The settings of a target: a server, or several with the same key.
package struct TargetSettings: Equatable, SettingOwner {
    /// The address or name; `TargetHost.missing` if it could not be read.
    package var host: TargetHost
    /// The ports at which to knock.
    package var ports: [UInt16] = [22]
    /// The key file; empty if it could not be read.
    package var keyFile: FilePath
    /// The address that the target sees; nil for the client's setting.
    package var nat: NATAddress?
    /// The mask that is requested from the target; nil for the client's setting.
    package var mask: MaskChoice?
    /// Whether the target must prove that it holds the key.
    package var requireProof = true
    /// Whether codes are not bound to the minute; nil for the client's setting.
    package var noTime: Bool?

    /// Creates a target with the defaults.
    package init(host: TargetHost, keyFile: FilePath) {
        self.host = host
        self.keyFile = keyFile
    }

    package static let defaults = TargetSettings(host: .missing, keyFile: "")

    static let settings: [Setting<TargetSettings>] = [
        Setting(
            "host", \.host, .host,
            help: "An address, a prefix, or a name, which is asked for again every minute.",
            example: "\"server.example.org\"",
            required: "give the target one, such as host = \"server.example.org\""),
        Setting(
            "ports", \.ports, .ports.notEmpty("there is no port in it; the default is [22]"),
            help: "Ports at which to knock."),
        Setting("port", \.onlyPort, .port, help: "The port, if there is only one.", rival: "ports"),
        Setting(
            "key_file", \.keyFile, .path, help: "The key that the server has given out for this host.",
            example: "\"keys/server.example.org.dat\"",
            required: "name the key that the server has given out for this host"),
        Setting(
            "nat_ip", \.nat, .nat, help: "Like nat_ip above; without this, the same.", example: "\"auto\""),
        Setting(
            "isn_mask", \.mask, .choice("mask"), help: "Like isn_mask above; without this, the same.",
            example: "\"auto\""),
        Setting(
            "require_proof", \.requireProof, .boolean,
            help: "Whether a SYN/ACK is dropped that does not prove that the server holds the key."),
        Setting(
            "no_time", \.noTime, .boolean, help: "Like no_time above; without this, the same.",
            example: "false"),
    ]

    /// The port, for a file that names one by itself.
    ///
    /// It is never written: `ports` is.
    private var onlyPort: UInt16? {
        get { nil }
        set { if let newValue { ports = [newValue] } }
    }
}
