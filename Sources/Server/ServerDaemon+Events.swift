// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import DaemonCore
internal import Glibc
internal import KnockEngine
internal import Linux
internal import Logging
internal import Settings
internal import Synchronization
internal import Wire

/// The handling of events.
extension ServerDaemon {
    /// Does what an event requires.
    ///
    /// Called on the event thread.
    func take(_ event: Event) {
        keeper?.note()
        let party = event.key.flatMap { registry.name(of: $0) }
        watchers.show(event, of: party)
        switch event.reason {
        case .acknowledgmentVerified:
            connections.book.add(event.flow, event.key, at: event.time)
            keeper?.noteOpened(event.flow, event.key, since: event.time)
            hooks.run(.admitted, event, guest: guest(event.key), party)
            // Between the verdict and now, the configuration may have changed, or another queue may have seen a wrong
            // third ACK.
            if let refusal = refusal(of: event.flow, event.key) { close([event.flow], because: refusal) }
            if shared.isLockedOut(event.flow.clientAddress, event.key, at: SystemClock.now()) {
                close([event.flow], because: Reason.lockedOut.name)
            }
        case .knocked:
            hooks.run(.knocked, event, guest: guest(event.key), party)
        case .wrongAcknowledgment, .maskedAcknowledgment:
            let (settings, guestCount) = state.withLock { ($0.settings, $0.roster.guests.count) }
            let address = event.flow.clientAddress
            if ServerEngine.Configuration(settings).locksOutAddresses(guestCount: guestCount) {
                for flow in connections.book.all.keys where flow.clientAddress == address {
                    connections.book.end(flow, because: event.reason.name)
                }
                enforcer.enforce(on: address, ports: settings.targetPorts)
            } else if let key = event.key {
                let count = connections.closeAll(of: key, from: address, because: event.reason.name)
                logger.notice(
                    "connections closed",
                    metadata: ["client": "\(address)", "guest": "\(party ?? "")", "count": "\(count)"])
            }
            hooks.run(
                .lockedOut, event, guest: guest(event.key), party, seconds: UInt64(settings.lockoutSeconds))
        case .tooManyWrongCodes:
            let seconds = state.withLock { UInt64($0.settings.lockoutSeconds) }
            hooks.run(.lockedOut, event, guest: nil, nil, seconds: seconds)
        case .synAckOnVerified:
            connections.forget(event.flow)
        default:
            break
        }
    }

    /// Logs the end of a connection, and runs the guest's hook.
    func noteEnd(_ ended: EndedConnection) {
        // A later connection may already use the same addresses and ports.
        if !connections.book.contains(ended.flow) { keeper?.noteEnded(ended.flow) }
        let party = ended.connection.key.flatMap { registry.name(of: $0) }
        let metadata = ended.metadata("guest", party)
        logger.info("connection ended", metadata: metadata)
        hooks.run(ended, guest: guest(ended.connection.key), party)
    }

    /// Closes the connections of guests that are no longer admitted: revoked, expired, or from another address.
    func closeWhatIsNotAdmitted() {
        var closing: [String: [Flow]] = [:]
        for (flow, connection) in connections.book.all where connection.ending == nil {
            guard let refusal = refusal(of: flow, connection.key) else { continue }
            closing[refusal, default: []].append(flow)
        }
        for (reason, flows) in closing { close(flows, because: reason) }
    }

    private func close(_ flows: [Flow], because reason: String) {
        connections.close(flows, because: reason)
        logger.notice("connections closed", metadata: ["reason": "\(reason)", "count": "\(flows.count)"])
    }

    /// Returns the reason why a connection would not be admitted now; nil if it would be, or if its guest is unknown
    /// because it was opened before this daemon started.
    private func refusal(of flow: Flow, _ key: KeyID?) -> String? {
        guard let key else { return nil }
        return state.withLock { $0.roster }.refusal(of: flow, key, at: SystemClock.now())
    }

    private func guest(_ key: KeyID?) -> GuestSettings? {
        key.flatMap { key in state.withLock { $0.everyone[key] } }
    }
}
