// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage
internal import Wire

extension ServerSettings {
    package mutating func take(_ table: TableReader, now: Int64) {
        let folder = table.folder
        takeCommon(table)
        table.read("queue_num", into: &queues) { value throws(Refusal) in try value.queues() }
        table.read("protect", into: &protect) { value throws(Refusal) in try value.protectedPlaces() }
        table.read("exempt", into: &exempt) { value throws(Refusal) in try value.exemptPlaces() }
        for place in exempt where place.isOpenToTheWorld {
            table.problems.warn(
                "exempt: \"\(place)\" is much of the world, and nobody there needs the knock",
                SettingsLocation("exempt"))
        }
        table.read("lockout_seconds", into: &lockoutSeconds) { value throws(Refusal) in
            try value.number(1...86_400, "seconds")
        }
        table.read("lockout_scope", into: &lockoutScope) { value throws(Refusal) in try value.choice() }
        table.read("guest_syn_rate", into: &guestSYNRate) { value throws(Refusal) in try value.number(0...1_000_000) }
        table.read("on_failure", into: &onFailure) { value throws(Refusal) in try value.choice() }
        table.read("guest_search", into: &guestSearch) { value throws(Refusal) in try value.choice() }
        table.read("fast_open", into: &fastOpen) { value throws(Refusal) in try value.boolean() }
        table.read("lockout_after_wrong_codes", into: &lockoutAfterWrongCodes) { value throws(Refusal) in
            try value.number(0...1_000_000)
        }
        table.read("wrong_code_seconds", into: &wrongCodeSeconds) { value throws(Refusal) in
            try value.number(1...86_400, "seconds")
        }
        table.read("kernel_filter", into: &kernelFilter) { value throws(Refusal) in try value.choice() }
        table.read("pin_folder", into: &pinFolder) { value throws(Refusal) in try value.path(in: folder) }
        table.read("rules_guard", into: &rulesGuard) { value throws(Refusal) in try value.choice() }
        table.read("state_dir", into: &stateFolder) { value throws(Refusal) in try value.optionalPath(in: folder) }
        table.read("hook_seconds", into: &hookSeconds) { value throws(Refusal) in
            try value.number(1...3_600, "seconds")
        }
        table.read("hook_limit", into: &hookLimit) { value throws(Refusal) in try value.number(1...1_024) }
        table.read("on_admit", into: &onAdmit) { value throws(Refusal) in try value.command() }
        table.read("on_close", into: &onClose) { value throws(Refusal) in try value.command() }
        table.read("on_lockout", into: &onLockout) { value throws(Refusal) in try value.command() }
        for (index, guest) in table.tables("guest").enumerated() {
            guests.append(GuestSettings(guest, index, now: now))
            guest.refuseUnknownKeys()
        }
    }

    package func conflicts() -> [SettingsConflict] {
        var conflicts = commonConflicts
        if keyFile != nil, !guests.isEmpty {
            conflicts.append(
                SettingsConflict(
                    "key_file", "cannot go together with [[guest]]; name the key file in a [[guest]] of its own"))
        }
        if pinFolder.string.unicodeScalars.contains(where: { $0.properties.isWhitespace }) {
            conflicts.append(SettingsConflict("pin_folder", "the path has spaces in it, which the rules cannot name"))
        }
        var names: Set<String> = []
        var keyFiles: [FilePath: String] = [:]
        for (index, guest) in guests.enumerated() {
            // A value that could not be read was already reported.
            if !guest.name.isEmpty, !names.insert(guest.name).inserted {
                conflicts.append(
                    SettingsConflict("guest", "name", in: index, "another guest is named \"\(guest.name)\" too"))
            }
            if !guest.keyFile.isEmpty, let other = keyFiles.updateValue(guest.name, forKey: guest.keyFile) {
                conflicts.append(
                    SettingsConflict(
                        "guest", "key_file", in: index,
                        "guest \"\(other)\" has the same one; each needs a key of their own"))
            }
            let strange = (guest.ports ?? []).filter { !targetPorts.contains($0) }
            if !strange.isEmpty {
                let ports = strange.map(String.init).joined(separator: ", ")
                conflicts.append(
                    SettingsConflict("guest", "ports", in: index, "\(ports): not among target_ports; add it there"))
            }
        }
        return conflicts
    }

    package func write(to writer: inout SettingsWriter) {
        if guests.isEmpty { writer.add("key_file", (keyFile ?? defaultKeyFile).string) }
        writer.add("target_ports", targetPorts)
        writer.add("queue_num", queues)
        writer.add("protect", protect.map(\.description))
        writer.add("exempt", exempt.map(\.description))
        writer.add("lockout_seconds", lockoutSeconds)
        writer.add("lockout_scope", lockoutScope)
        writer.add("guest_syn_rate", guestSYNRate)
        writer.add("on_failure", onFailure)
        writer.add("guest_search", guestSearch)
        writer.add("fast_open", fastOpen)
        writer.add("lockout_after_wrong_codes", lockoutAfterWrongCodes)
        writer.add("wrong_code_seconds", wrongCodeSeconds)
        writer.add("kernel_filter", kernelFilter)
        writer.add("pin_folder", pinFolder.string)
        writer.add("rules_guard", rulesGuard)
        writer.add("state_dir", stateFolder?.string ?? "")
        writeCommon(to: &writer)
        writer.add("hook_seconds", hookSeconds)
        writer.add("hook_limit", hookLimit)
        writer.add("on_admit", onAdmit)
        writer.add("on_close", onClose)
        writer.add("on_lockout", onLockout)
        for guest in guests {
            writer.begin("guest")
            guest.write(to: &writer)
        }
    }

    package var firewallFlags: [String] {
        var flags = targetPorts.flatMap { ["--target-port", "\($0)"] }
        flags += ["--queue-num", QueueNumbers.text(queues)] + markFlags
        let defaults = ServerSettings()
        if protect != defaults.protect { flags += protect.flatMap { ["--protect", "\($0)"] } }
        flags += exempt.flatMap { ["--exempt", "\($0)"] }
        if onFailure != defaults.onFailure { flags += ["--on-failure", onFailure.rawValue] }
        if kernelFilter != defaults.kernelFilter { flags += ["--kernel-filter", kernelFilter.rawValue] }
        if pinFolder != defaults.pinFolder { flags += ["--pin-folder", pinFolder.string] }
        if let instance { flags += ["--instance", instance] }
        return flags + commonFirewallFlags
    }
}

extension GuestSettings {
    /// Reads a guest from a table.
    ///
    /// If the name or the path is missing, it is empty, and an error is recorded.
    fileprivate init(_ table: TableReader, _ index: Int, now: Int64) {
        let folder = table.folder
        self.init(
            name: table.value("name") { value throws(Refusal) in try value.name() } ?? "",
            keyFile: table.value("key_file") { value throws(Refusal) in try value.path(in: folder) } ?? "")
        table.require("name", "give the guest one, such as name = \"alice\"")
        table.require("key_file", "name the guest's key; 'keygen' makes one")
        table.read("ports", into: &ports) { value throws(Refusal) in try value.ports() }
        table.read("networks", into: &networks) { value throws(Refusal) in
            let networks = try value.prefixes()
            guard !networks.isEmpty else {
                throw Refusal("there is no network in it; leave it out for everywhere, or say enabled = false")
            }
            return networks
        }
        table.read("expires", into: &expires) { value throws(Refusal) in try value.time() }
        table.read("enabled", into: &enabled) { value throws(Refusal) in try value.boolean() }
        table.read("roaming", into: &roaming) { value throws(Refusal) in try value.boolean() }
        table.read("on_admit", into: &onAdmit) { value throws(Refusal) in try value.command() }
        table.read("on_close", into: &onClose) { value throws(Refusal) in try value.command() }
        table.read("on_lockout", into: &onLockout) { value throws(Refusal) in try value.command() }
        if let expires, expires <= now {
            table.problems.warn(
                "guest.expires: \"\(name)\" has expired, and does not get in",
                SettingsLocation("expires", in: index))
        }
    }

    fileprivate func write(to writer: inout SettingsWriter) {
        writer.add("name", name)
        writer.add("key_file", keyFile.string)
        if let ports { writer.add("ports", ports) }
        if !networks.isEmpty { writer.add("networks", networks.map(\.description)) }
        if let expires { writer.add(time: "expires", expires) }
        writer.add("enabled", enabled)
        writer.add("roaming", roaming)
        writer.add("on_admit", onAdmit)
        writer.add("on_close", onClose)
        writer.add("on_lockout", onLockout)
    }
}
