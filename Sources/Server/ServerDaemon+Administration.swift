// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import DaemonCore
internal import JSONText
internal import KnockEngine
internal import Linux
internal import Logging
internal import Netfilter
internal import Settings
internal import Synchronization
internal import Wire

/// The handling of requests from the command line.
extension ServerDaemon {
    var settings: ServerSettings { state.withLock { $0.settings } }

    func roster(_ settings: ServerSettings) throws(FatalError) -> GuestRoster { try GuestRoster(settings, registry) }

    func adopt(_ settings: ServerSettings, _ roster: GuestRoster) throws(FatalError) -> String {
        // The filter first: it drops codes of keys it does not know yet, whereas keys it still knows do no harm.
        try filter.supply(roster.guests, settings)
        let configuration = ServerEngine.Configuration(settings)
        let before = state.withLock { state in
            defer { state.adopt(settings, roster) }
            return Set(state.roster.guests.map(\.id))
        }
        shared.adopt(configuration)
        hooks.adopt(settings)
        rules.adopt(settings)
        if !workers.perform({ $0.adopt(guests: roster.guests, configuration: configuration) }) {
            logger.error("not all queues have taken over the new configuration in time")
        }
        closeWhatIsNotAdmitted()
        let now = Set(roster.guests.map(\.id))
        let added = now.subtracting(before).count
        return "\(added) guest\(added == 1 ? "" : "s") added, \(before.subtracting(now).count) removed, "
            + "\(now.intersection(before).count) kept"
    }

    func freshen() { rules.look() }

    func noteReload() -> String? {
        rules.look()
        let protection = rules.protection
        guard let ports = protection.unprotectedPorts, !ports.isEmpty else { return nil }
        return "\(protection.line) (under systemd, 'systemctl reload' of the service does that, too)"
    }

    func doChores() {
        closeWhatIsNotAdmitted()
        if shared.keepRoom(at: SystemClock.now()) { UnusedMemory.release() }
        let codes = shared.usedCodes
        usedCodeRoom.withLock { $0.look(codes.taken, of: codes.capacity, logger) }
    }

    func locks(_ form: ControlRequest.Form) -> ControlAnswer {
        let list = LockList(shared.lockedOut(at: SystemClock.now()), now: SystemClock.now()) { [registry] in
            registry.name(of: $0)
        }
        return .done(form == .json ? list.json.text + "\n" : list.text)
    }

    func unlock(_ address: IPAddress) -> ControlAnswer {
        let wasLockedOut = shared.unlock(address, at: SystemClock.now())
        keeper?.note()
        guard wasLockedOut else { return .failed(.wrongData, "\(address) is not locked out") }
        logger.notice("let in again before its time", metadata: ["client": "\(address)"])
        return .done("\(address) is let in again\n")
    }

    func statusReport() -> StatusReport {
        let (settings, roster) = state.withLock { ($0.settings, $0.roster) }
        let totals = workers.totals { $0.handshakeCount }
        return StatusReport(
            program: "tcpknock-server", partyLabel: "guest", started: started, now: SystemClock.now(),
            queues: queueListing.all().filter { settings.queues.contains($0.number) },
            counters: totals.counters,
            handshakes: totals.handshakes,
            parties: roster.guests.compactMap { guest in
                roster.settings[guest.id].map { StatusReport.Party(name: $0.name, scope: guest.scope) }
            },
            connections: connections.rows(registry),
            unrecorded: connections.book.unrecorded, lockedOut: shared.lockedOut(at: SystemClock.now()).count,
            usedCodes: shared.usedCodes, kernelFilter: filter.counters,
            places: (settings.protect.map(\.description), settings.exempt.map(\.description)),
            protection: rules.protection, rulesLost: rules.losses)
    }
}

extension Guest {
    /// The guest's ports, networks and expiry, for display.
    var scope: String {
        var parts = [ports.isEmpty ? "only knocks" : "ports \(ports.map(String.init).joined(separator: ", "))"]
        if !networks.isEmpty { parts.append("from \(networks.map(\.description).joined(separator: ", "))") }
        if isRoaming { parts.append("roaming") }
        if let expires { parts.append("until \(SystemClock.timestamp(unixSeconds: expires))") }
        return parts.joined(separator: ", ")
    }
}
