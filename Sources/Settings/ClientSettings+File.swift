// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage
internal import Wire

extension ClientSettings {
    package mutating func take(_ table: TableReader, now: Int64) {
        takeCommon(table)
        table.read("queue_num", into: &queue) { value throws(Refusal) in
            UInt16(truncatingIfNeeded: try value.number(0...65_535, "a queue"))
        }
        table.read("nat_ip", into: &nat) { value throws(Refusal) in try value.nat() }
        table.read("isn_mask", into: &mask) { value throws(Refusal) in try value.choice() }
        table.read("servers", into: &servers) { value throws(Refusal) in try value.prefixes() }
        table.read("no_hint", into: &noHint) { value throws(Refusal) in try value.boolean() }
        for target in table.tables("target") {
            targets.append(TargetSettings(target))
            target.refuseUnknownKeys()
        }
    }

    package func conflicts() -> [SettingsConflict] {
        var conflicts = commonConflicts
        var taken: [String: Set<UInt16>] = [:]
        for (index, target) in targets.enumerated() {
            let host = target.host.description
            let twice = target.ports.filter { taken[host]?.contains($0) == true }
            if host != TargetHost.missing.description, let port = twice.first {
                conflicts.append(
                    SettingsConflict(
                        "target", "host", in: index, "another [[target]] has \"\(host)\" with port \(port) already"))
            }
            taken[host, default: []].formUnion(target.ports)
        }
        return conflicts
    }

    package func write(to writer: inout SettingsWriter) {
        if let sharedKeyFile { writer.add("key_file", sharedKeyFile.string) }
        writer.add("target_ports", targetPorts)
        writer.add("queue_num", UInt32(queue))
        if nat != .none { writer.add("nat_ip", nat) }
        writer.add("isn_mask", mask)
        writer.add("servers", servers.map(\.description))
        writer.add("no_hint", noHint)
        writeCommon(to: &writer)
        for target in targets {
            writer.begin("target")
            target.write(to: &writer)
        }
    }

    package var firewallFlags: [String] {
        allPorts.flatMap { ["--target-port", "\($0)"] } + ["--queue-num", "\(queue)"] + markFlags
            + commonFirewallFlags
    }
}

extension TargetHost {
    /// A placeholder for a host that could not be read.
    ///
    /// It cannot occur in a file.
    fileprivate static let missing = TargetHost.name("")
}

extension TargetSettings {
    /// Reads a target from a table.
    ///
    /// If the host or the path is missing, it is empty, and an error is recorded.
    fileprivate init(_ table: TableReader) {
        let folder = table.folder
        self.init(
            host: table.value("host") { value throws(Refusal) in try value.host() } ?? .missing,
            keyFile: table.value("key_file") { value throws(Refusal) in try value.path(in: folder) } ?? "")
        table.require("host", "give the target one, such as host = \"server.example.org\"")
        table.require("key_file", "name the key that the server has given out for this host")
        let ports = table.value("ports") { value throws(Refusal) in
            let ports = try value.ports()
            guard !ports.isEmpty else { throw Refusal("there is no port in it; the default is [22]") }
            return ports
        }
        let port = table.value("port") { value throws(Refusal) in
            guard ports == nil else { throw Refusal("cannot go together with 'ports'") }
            return try value.port()
        }
        self.ports = ports ?? port.map { [$0] } ?? self.ports
        table.read("nat_ip", into: &nat) { value throws(Refusal) in try value.nat() }
        table.read("isn_mask", into: &mask) { value throws(Refusal) in try value.choice() }
        table.read("require_proof", into: &requireProof) { value throws(Refusal) in try value.boolean() }
        table.read("no_time", into: &noTime) { value throws(Refusal) in try value.boolean() }
    }

    fileprivate func write(to writer: inout SettingsWriter) {
        writer.add("host", host.description)
        writer.add("ports", ports)
        writer.add("key_file", keyFile.string)
        if let nat { writer.add("nat_ip", nat) }
        if let mask { writer.add("isn_mask", mask) }
        writer.add("require_proof", requireProof)
        if let noTime { writer.add("no_time", noTime) }
    }
}
