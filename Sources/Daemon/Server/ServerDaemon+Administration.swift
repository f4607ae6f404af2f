// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
internal import JSONText
internal import KnockEngine
internal import Logging
internal import NetfilterQueue
internal import Settings
internal import Synchronization
internal import Wire

/// What people ask for.
extension ServerDaemon {
    /// Carries out a request that came over the control socket.
    func answer(_ request: ControlRequest, _ form: ControlRequest.Form) -> ControlAnswer {
        administration.sync {
            switch request {
            case .status:
                let report = statusReport()
                return .done(form == .json ? report.json.text + "\n" : report.text)
            case .locks:
                let list = LockList(shared.lockedOut(at: SystemClock.now()), now: SystemClock.now())
                return .done(form == .json ? list.json.text + "\n" : list.text)
            case .unlock(let address):
                return unlock(address)
            case .reload:
                return reloadNow()
            case .watch:
                return .failed(EX_PROTOCOL, "to watch is not answered here")
            }
        }
    }

    /// Reads the configuration again; what is wrong with it leaves the old one in force.
    func reload() -> ControlAnswer {
        administration.sync { reloadNow() }
    }

    private func reloadNow() -> ControlAnswer {
        do throws(FatalError) {
            let effective = try flags.effectiveSettings()
            effective.logWarnings(to: logger)
            let (old, unchanged) = state.withLock { ($0.settings, $0.roster.guests.map(\.id)) }
            let (settings, kept) = effective.settings.keeping(what: old)
            let roster = try GuestRoster(settings, registry)
            try adopt(settings, roster)
            closeWhatIsNotAdmitted()

            let before = Set(unchanged)
            let now = Set(roster.guests.map(\.id))
            var text = "configuration read again: \(now.subtracting(before).count) guests added, "
            text += "\(before.subtracting(now).count) removed, \(now.intersection(before).count) kept"
            if !kept.isEmpty { text += "; changed only at the next start: \(kept.joined(separator: ", "))" }
            logger.notice("\(text)")
            return .done(text + "\n")
        } catch {
            let error = error.explained(for: identity)
            logger.error("configuration not read again, the old one stays in force: \(error.description)")
            return .failed(error.status, "the old configuration stays in force:\n\(error.description)")
        }
    }

    private func adopt(_ settings: ServerSettings, _ roster: GuestRoster) throws(FatalError) {
        // A key that the filter does not know yet would be dropped, one that it still knows does no harm.
        try filter.supply(roster.guests, settings)
        let configuration = ServerEngine.Configuration(settings)
        state.withLock { $0.adopt(settings, roster) }
        shared.adopt(configuration)
        hooks.adopt(settings)
        if !workers.perform({ $0.adopt(guests: roster.guests, configuration: configuration) }) {
            logger.error("not all queues have taken over the new configuration in time")
        }
    }

    private func unlock(_ address: IPAddress) -> ControlAnswer {
        let wasLockedOut = shared.unlock(address, at: SystemClock.now())
        keeper?.note()
        enforcer.release(address)
        guard wasLockedOut else { return .failed(EX_DATAERR, "\(address) is not locked out") }
        logger.notice("let in again before its time", metadata: ["client": "\(address)"])
        return .done("\(address) is let in again\n")
    }

    private func statusReport() -> StatusReport {
        let (settings, roster) = state.withLock { ($0.settings, $0.roster) }
        let totals = workers.totals { $0.handshakeCount }
        return StatusReport(
            program: "tcpknock-server", partyLabel: "guest", started: started, now: SystemClock.now(),
            queues: queueListing.all().filter { settings.queues.contains($0.number) }, counters: totals.counters,
            handshakes: totals.handshakes,
            parties: roster.guests.compactMap { guest in
                roster.settings[guest.id].map { StatusReport.Party(name: $0.name, scope: guest.scope) }
            },
            connections: connections.rows(registry),
            unrecorded: connections.book.unrecorded, lockedOut: shared.lockedOut(at: SystemClock.now()).count,
            kernelFilter: filter.counters)
    }

    /// What is measured, for the metrics file.
    func metricFamilies() -> [MetricFamily] {
        administration.sync { DaemonMetrics.families(statusReport()) }
    }
}

extension Guest {
    /// From where, to where, and until when, for people.
    var scope: String {
        var parts = [ports.isEmpty ? "only knocks" : "ports \(ports.map(String.init).joined(separator: ", "))"]
        if !networks.isEmpty { parts.append("from \(networks.map(\.description).joined(separator: ", "))") }
        if isRoaming { parts.append("roaming") }
        if let expires { parts.append("until \(SystemClock.timestamp(unixSeconds: expires))") }
        return parts.joined(separator: ", ")
    }
}

extension ServerSettings {
    /// These settings, but with those of before that cannot change while the daemon runs; and which of them would have.
    func keeping(what old: ServerSettings) -> (settings: ServerSettings, kept: [String]) {
        var keeper = SettingsKeeper(self, old)
        keeper.keep(\.queues, "queue_num")
        keeper.keep(\.mark, "mark")
        keeper.keep(\.onFailure, "on_failure")
        keeper.keep(\.noTime, "no_time")
        keeper.keep(\.kernelFilter, "kernel_filter")
        keeper.keep(\.pinFolder, "pin_folder")
        keeper.keep(\.stateFolder, "state_dir")
        keeper.keep(\.hookLimit, "hook_limit")
        keeper.keep(\.hookSeconds, "hook_seconds")
        keeper.keepCommon()
        return (keeper.settings, keeper.kept)
    }
}
