// SPDX-License-Identifier: GPL-2.0-or-later
package import ArgumentParser
package import Settings
package import SystemPackage
internal import Wire

/// The flags of `tcpknock-client`.
package struct ClientFlags: DaemonFlags {
    @OptionGroup package var common: CommonOptions

    @Option(
        name: [.customLong("queue-num"), .customLong("queue_num")],
        help: ArgumentHelp("Queue number used by the firewall rules. (default: 200)", valueName: "number"),
        transform: QueueNumber.parse)
    var queue: UInt16?

    @Option(
        name: [.customLong("nat-ip"), .customLong("nat_ip")], parsing: .singleValue,
        help: ArgumentHelp(
            "The address that servers see instead of this host's own, once for each family; auto if it is not known, "
                + "for servers that allow roaming.", valueName: "address"),
        transform: NATArgument.parse)
    var nat: [NATArgument] = []

    @Option(
        name: [.customLong("isn-mask"), .customLong("isn_mask")],
        help: ArgumentHelp(
            "How servers mask their ISN: full on a path without stateful boxes, windowed through a NAT or stateful "
                + "firewall; auto is windowed with --nat-ip, else full. (default: auto)", valueName: "mask"))
    var mask: MaskChoice?

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Servers that must prove that they hold the key, else their SYN/ACK is dropped; may be given again.",
            valueName: "address-or-prefix"),
        transform: AddressArgument.parsePrefix)
    var server: [IPPrefix] = []

    @Flag(
        name: [.customLong("no-hint"), .customLong("no_hint")],
        help: "Leave out of SYNs the hint by which a server with many guests finds the key.")
    var noHint = false

    /// Creates flags as if none were given.
    package init() {}

    package func validate() throws {
        _ = try NATArgument.join(nat)
    }

    package func apply(to settings: inout EffectiveSettings<ClientSettings>) {
        settings.set(\.queue, "queue_num", queue)
        // validate() has refused values that cannot be joined.
        settings.set(\.nat, "nat_ip", (try? NATArgument.join(nat)) ?? nil)
        settings.set(\.mask, "isn_mask", mask)
        settings.set(\.servers, "servers", server.isEmpty ? nil : server)
        settings.set(\.noHint, "no_hint", noHint ? true : nil)
    }

    package static let keysMustDiffer = false

    package static func keyFiles(_ settings: ClientSettings) -> [(owner: String, path: FilePath)] {
        var files: [(owner: String, path: FilePath)] = settings.sharedKeyFile.map { [("key_file", $0)] } ?? []
        for target in settings.targets where !files.contains(where: { $0.path == target.keyFile }) {
            files.append(("target \"\(target.host)\"", target.keyFile))
        }
        return files
    }
}
