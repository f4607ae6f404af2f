// SPDX-License-Identifier: GPL-2.0-or-later
internal import JSONText
package import Settings
internal import Wire

/// The state of an installation's firewall rules, as `status --json` of its script prints it (docs/FIREWALLS.md).
package struct FirewallStatus: Equatable, Sendable {
    /// Whether the rules are complete.
    package enum State: String, Sendable {
        case up, partial, down
    }

    /// Whether the rules are supposed to exist.
    package enum Wish: String, Sendable {
        /// They were installed and not taken down.
        case yes
        /// They were never installed, or were taken down.
        case no
        /// They were installed, but will be taken down automatically unless they are confirmed.
        case unconfirmed
    }

    package let state: State
    /// Always `no` for a client.
    package let wanted: Wish
    /// The instance name of the rules; empty if they have none.
    package let instance: String
    /// The names of all servers that have rules.
    package let instances: [String]
    /// The iptables that the rules are in, or would be put into: `nft` or `legacy`.
    package let iptables: String
    /// Each iptables that has rules of the installation.
    package let iptablesInUse: [String]

    /// The ports that have rules.
    package let ports: [UInt16]
    /// The ports that have all of their rules.
    package let completePorts: Set<UInt16>
    /// The ports that the kernel filter closes to everybody, whatever the rules are.
    package let closedPorts: Set<UInt16>
    /// The queues, as `--queue-num` takes them; empty if there are no rules.
    package let queue: String
    /// The mark, as `--mark` takes it; empty if there are no rules.
    package let mark: String
    /// The destinations that the rules protect; empty for all destinations, as in rules of earlier versions.
    package let protect: [Place]
    /// The sources that need no knock.
    package let exempt: [Place]
    /// `drop` or `reset`.
    package let onFailure: String
    /// The path of the kernel filter's program in use; empty if there is none.
    package let kernelFilter: String
    /// The inode number that the file of the program had; nil if none was noted.
    package let kernelFilterInode: UInt64?

    /// Our rules that exist.
    package let present: [FirewallRule]
    /// Those that should exist, but do not, or not in their order.
    package let missing: [FirewallRule]
    /// Those in our chains that should not exist.
    package let unexpected: [FirewallRule]
    /// The rules of other programs that get in the way.
    package let foreign: [ForeignRule]
    /// What could not be looked at, and why.
    package let unread: [String]

    /// Whether rules are missing although they were not taken down.
    package var isLoss: Bool { wanted == .yes && state != .up }
    /// Whether the rules are in iptables-legacy, which does not report changes.
    package var isLegacy: Bool { iptables == "legacy" }

    /// Parses what a script printed; nil if it is not complete and well-formed.
    package init?(_ text: String) {
        guard let json = JSONValue(parsing: text) else { return nil }
        func strings(_ name: String) -> [String]? { json[name].map { $0.elements?.compactMap(\.stringValue) ?? [] } }
        func ports(_ name: String) -> [UInt16]? {
            let values = json[name]?.elements ?? []
            let ports = values.compactMap { $0.unsignedValue.flatMap { UInt16(exactly: $0) } }
            return ports.count == values.count ? ports : nil
        }
        func places(_ name: String) -> [Place]? {
            let words = strings(name) ?? []
            let places = words.compactMap { Place($0) }
            return places.count == words.count ? places : nil
        }
        guard let state = json["state"]?.stringValue.flatMap({ State(rawValue: $0) }),
            let instance = json["instance"]?.stringValue, let iptables = json["iptables"]?.stringValue,
            let wanted = Wish(rawValue: json["wanted"]?.stringValue ?? "no"),
            let allPorts = ports("ports"), let completePorts = ports("complete_ports"),
            let closedPorts = ports("closed_ports"), let protect = places("protect"), let exempt = places("exempt"),
            let queue = json["queue"]?.stringValue, let mark = json["mark"]?.stringValue,
            let foreign = json["foreign"]?.elements
        else { return nil }
        self.state = state
        self.wanted = wanted
        self.instance = instance
        self.iptables = iptables
        self.ports = allPorts
        self.completePorts = Set(completePorts)
        self.closedPorts = Set(closedPorts)
        self.protect = protect
        self.exempt = exempt
        self.queue = queue
        self.mark = mark
        instances = strings("instances") ?? []
        iptablesInUse = strings("iptables_in_use") ?? []
        onFailure = json["on_failure"]?.stringValue ?? "drop"
        kernelFilter = json["kernel_filter"]?.stringValue ?? ""
        kernelFilterInode = json["kernel_filter_inode"]?.unsignedValue
        present = (strings("present") ?? []).compactMap { FirewallRule($0) }
        missing = (strings("missing") ?? []).compactMap { FirewallRule($0) }
        unexpected = (strings("unexpected") ?? []).compactMap { FirewallRule($0) }
        self.foreign = foreign.compactMap { ForeignRule($0) }
        unread = strings("unread") ?? []
    }
}
