// SPDX-License-Identifier: GPL-2.0-or-later
internal import FoundationEssentials
package import Settings

/// The state of an installation's firewall rules, as `status --json` of its script prints it (docs/FIREWALLS.md).
package struct FirewallStatus: Equatable, Sendable {
    /// Whether the rules are complete.
    package enum State: String, Decodable, Sendable {
        case up, partial, down
    }

    /// Whether the rules are supposed to exist.
    package enum Wish: String, Decodable, Sendable {
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
}

extension FirewallStatus: Decodable {
    private enum CodingKeys: String, CodingKey {
        case state, wanted, instance, instances, iptables, ports, queue, mark, protect, exempt, present, missing
        case unexpected, foreign, unread
        case iptablesInUse = "iptables_in_use"
        case completePorts = "complete_ports"
        case closedPorts = "closed_ports"
        case onFailure = "on_failure"
        case kernelFilter = "kernel_filter"
        case kernelFilterInode = "kernel_filter_inode"
    }

    /// Parses what a script printed; nil if it is not complete and well-formed.
    package init?(_ text: String) {
        guard let status = try? JSONDecoder().decode(Self.self, from: Data(text.utf8)) else { return nil }
        self = status
    }

    package init(from decoder: any Decoder) throws {
        let json = try decoder.container(keyedBy: CodingKeys.self)
        func list<Element: Decodable>(_ key: CodingKeys) throws -> [Element] {
            try json.decodeIfPresent([Element].self, forKey: key) ?? []
        }
        func text(_ key: CodingKeys, default usual: String) throws -> String {
            try json.decodeIfPresent(String.self, forKey: key) ?? usual
        }
        func places(_ key: CodingKeys) throws -> [Place] {
            try list(key).map { (text: String) in
                guard let place = Place(text) else {
                    throw DecodingError.dataCorruptedError(forKey: key, in: json, debugDescription: text)
                }
                return place
            }
        }
        state = try json.decode(State.self, forKey: .state)
        wanted = try json.decodeIfPresent(Wish.self, forKey: .wanted) ?? .no
        instance = try json.decode(String.self, forKey: .instance)
        instances = try list(.instances)
        iptables = try json.decode(String.self, forKey: .iptables)
        iptablesInUse = try list(.iptablesInUse)
        ports = try list(.ports)
        completePorts = Set(try list(.completePorts))
        closedPorts = Set(try list(.closedPorts))
        queue = try json.decode(String.self, forKey: .queue)
        mark = try json.decode(String.self, forKey: .mark)
        protect = try places(.protect)
        exempt = try places(.exempt)
        onFailure = try text(.onFailure, default: "drop")
        kernelFilter = try text(.kernelFilter, default: "")
        kernelFilterInode = try json.decodeIfPresent(UInt64.self, forKey: .kernelFilterInode)
        present = try list(.present)
        missing = try list(.missing)
        unexpected = try list(.unexpected)
        foreign = try json.decode([ForeignRule].self, forKey: .foreign)
        unread = try list(.unread)
    }
}
