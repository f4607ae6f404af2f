// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage
package import Wire

/// The settings of a guest.
package struct GuestSettings: Equatable, SettingOwner {
    /// The name of the guest that has the key file if no guests are configured.
    package static let onlyName = "default"

    /// The unique name of the guest; empty if it could not be read.
    package var name: String
    /// The guest's key file; empty if it could not be read.
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

    package static let defaults = GuestSettings(name: "", keyFile: "")

    static let settings: [Setting<GuestSettings>] = [
        Setting(
            "name", \.name, .name, help: "What the log, the status and the commands call the guest.",
            example: "\"alice\"", required: "give the guest one, such as name = \"alice\""),
        Setting(
            "key_file", \.keyFile, .path, help: "The guest's key; 'keygen --bundle' makes one.",
            example: "\"guests/alice.dat\"", required: "name the guest's key; 'keygen' makes one"),
        Setting(
            "ports", \.ports, .ports,
            help: "Ports that the guest can reach; without this, all target_ports. "
                + "If empty, a knock only runs on_admit.", example: "[22]"),
        Setting(
            "networks", \.networks,
            .prefixes.notEmpty("there is no network in it; leave it out for everywhere, or say enabled = false"),
            help: "Networks from which the guest may knock; without this, any.", example: "[\"192.0.2.0/24\"]"),
        Setting(
            "expires", \.expires, .time,
            help: "When the guest's key expires; without this, never. Without an offset, it is in UTC.",
            example: "2030-01-01T00:00:00Z"),
        Setting("enabled", \.enabled, .boolean, help: "Whether the guest may knock at all."),
        Setting(
            "roaming", \.roaming, .boolean,
            help: "Whether codes that are bound to no address are accepted, for laptops and clients behind a NAT."),
        Setting(
            "on_admit", \.onAdmit, .command, help: "Command to run instead of the on_admit for all guests.",
            example: HookCommand.examples.admit),
        Setting(
            "on_close", \.onClose, .command, help: "Command to run instead of the on_close for all guests.",
            example: HookCommand.examples.close),
        Setting(
            "on_lockout", \.onLockout, .command,
            help: "Command to run instead of the on_lockout for all guests.", example: HookCommand.examples.lockout),
    ]
}
