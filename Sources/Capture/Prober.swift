// SPDX-License-Identifier: GPL-2.0-or-later
package import Diagnosis
internal import Glibc
internal import KnockProtocol
package import Linux
package import Wire

/// A probe: goes through a handshake with the daemons in place, stage by stage, and experiments where it fails.
package enum Prober {
    /// The range of the clock experiments before and after now, and their step, in minutes.
    ///
    /// A server accepts three minutes at a time.
    private static let clockRange = 30
    private static let clockStep = 3
    /// The time that the service has to send something before a FIN asks for an acknowledgment, in seconds.
    private static let patienceForService = 0.4
    /// The time in which a server repeats a SYN/ACK, with some margin, in seconds (RFC 6298: after 1 s, then 2 s).
    private static let repetition = 3.5

    /// Probes a server.
    ///
    /// Takes up to half a minute if the server does not answer.
    ///
    /// - Parameters:
    ///   - settings: The server, and the client's settings.
    ///   - queueIsHeld: Whether a process is bound to the queue of the client's daemon.
    ///   - isSigned: Whether a program of this host signs its segments to an address and a port.
    /// - Returns: The findings.
    /// - Throws: `FatalError` if probing is impossible, for instance without permission or without a route.
    package static func run(
        _ settings: ProbeSettings, queueIsHeld: Bool, isSigned: (IPAddress, UInt16) -> Bool
    ) throws(FatalError) -> ProbeFindings {
        let route = try Route(to: settings.host, family: settings.family, interface: settings.interface)
        let search = CodeSearch(
            keys: [settings.key], extraAddresses: settings.natAddresses.values + settings.tryAddresses)
        let traffic = try ProbeTraffic(
            route, port: settings.port, search: search, boundTo: settings.interface)
        var findings = ProbeFindings(
            localAddress: route.local, serverAddress: route.remote,
            configured: settings.configured(local: route.local), queueNumber: settings.queueNumber,
            scripts: settings.scripts)
        findings.mode = settings.mode(local: route.local)
        findings.serverIsOnLink = route.isOnLink
        findings.fingerprint = settings.key.keys.fingerprint
        findings.queueIsHeld = queueIsHeld
        findings.isSigned = isSigned(route.remote, settings.port)

        try connect(settings, route, traffic, &findings)
        if settings.experiments {
            try experiment(Experiments(traffic: traffic, settings: settings, route: route), &findings)
        }
        return findings
    }

    // MARK: The ordinary connection

    private static func connect(
        _ settings: ProbeSettings, _ route: Route, _ traffic: ProbeTraffic, _ findings: inout ProbeFindings
    ) throws(FatalError) {
        let connection = try WatchedConnection(from: route.local)
        let flow = Flow(
            clientAddress: route.local, clientPort: connection.port, serverAddress: route.remote,
            serverPort: settings.port)
        var outcome = ConnectionOutcome.silence
        if let reason = connection.connect(to: route.remote, port: settings.port) {
            outcome = .failed(reason)
        } else {
            try traffic.wait(settings.timeout) {
                traffic.tracer[flow]?.synACK != nil || connection.state != .pending
            }
            outcome = try follow(connection, flow, settings, traffic)
        }
        findings.connection = traffic.tracer[flow]
        findings.outcome = outcome
        findings.unreachable = traffic.quotes.first {
            if case .unreachable = $0.kind { $0.sourcePort == flow.clientPort } else { false }
        }
    }

    /// Continues from the SYN/ACK, if there is one.
    private static func follow(
        _ connection: WatchedConnection, _ flow: Flow, _ settings: ProbeSettings, _ traffic: ProbeTraffic
    ) throws(FatalError) -> ConnectionOutcome {
        guard let synACK = traffic.tracer[flow]?.synACK else {
            // The capture may lag a little behind the state of the socket.
            try traffic.wait(0.2) { (traffic.tracer[flow]?.server.resets ?? 0) > 0 }
            if (traffic.tracer[flow]?.server.resets ?? 0) > 0 { return .refused }
            guard case .failed(let number) = connection.state, traffic.tracer[flow]?.syn == nil else { return .silence }
            return .failed(unsafe String(cString: strerror(number)))
        }
        guard case .explained(let proof) = synACK.finding else {
            if let answer = traffic.answers.last(where: { $0.destinationPort == flow.clientPort }) {
                traffic.reset(answer)
            }
            return .withheld
        }
        // The first SYN/ACK was withheld from the kernel. The next one comes when the SYN is repeated, after a second.
        try connection.admit(.only(serverISN: proof.trueISN))
        guard try traffic.wait(max(settings.timeout, repetition), until: { connection.state == .connected }) else {
            return .notUnmasked
        }
        func wentOn() -> Bool { traffic.tracer[flow]?.serverWentOn ?? false }
        if try traffic.wait(patienceForService, until: wentOn) { return .works }
        connection.shutDown()
        if try traffic.wait(max(settings.timeout, repetition), until: wentOn) { return .works }
        return (traffic.tracer[flow]?.unheardSYNACKs ?? 0) > 0 ? .stalled : .unconfirmed
    }

    // MARK: Experiments

    private static func experiment(
        _ experiments: Experiments, _ findings: inout ProbeFindings
    ) throws(FatalError) {
        switch findings.stages.first(where: { $0.state == .failed })?.name {
        case .coded where findings.code == .unexplained && findings.connection?.synACK == nil:
            try experimentOnSilence(experiments, &findings)
        case .answered where findings.outcome == .refused:
            findings.trials = try experiments.ask([.init(.wrongCode)]).map(\.trial)
            // A server may answer wrong codes with a RST, so our code may be wrong.
            if findings.answer(.wrongCode) == .refused { try experimentOnSilence(experiments, &findings) }
        case .answered: try experimentOnSilence(experiments, &findings)
        case .proven:
            findings.trials = try experiments.ask([.init(.wrongCode)]).map(\.trial)
            guard findings.answer(.wrongCode) == .silence, let nonces = try experiments.solveNonces() else { return }
            findings.nonceSolutions = (nonces.solvable, nonces.total)
            findings.noncesAreZero = nonces.areZero
        case .accepted where findings.outcome == .stalled && findings.mode == .full:
            findings.windowedGetsThrough = try experiments.windowedGetsThrough()
        default: return
        }
    }

    /// Tries other codes until one is answered with a SYN/ACK whose proof holds.
    private static func experimentOnSilence(
        _ experiments: Experiments, _ findings: inout ProbeFindings
    ) throws(FatalError) {
        let local = findings.localAddress
        let candidates =
            [AddressCandidate(local, .source), AddressCandidate(.roaming, .roaming)]
            + experiments.settings.tryAddresses.filter { $0.family == local.family && $0 != local }
            .map { AddressCandidate($0, .given) }
        let configured = findings.configured.address
        let kinds =
            [.asConfigured] + candidates.filter { $0.address != configured }.map { .address($0) }
            + [.otherTiming] as [Trial.Kind]
        findings.trials += try experiments.ask(kinds.map { .init($0) }, stopsAtProof: true).map(\.trial)
        guard !findings.trials.contains(where: { $0.answer == .proven }) else { return }

        if !findings.serverIsOnLink { findings.hops = try experiments.askRouters() }
        let isChanged = findings.hops?.contains { !$0.changes.isEmpty } ?? false
        guard experiments.settings.usesTime, !isChanged else { return }
        let minutes = stride(from: clockStep, through: clockRange, by: clockStep).flatMap { [$0, -$0] }
        findings.trials += try experiments.ask(minutes.map { .init(.minutesLater($0)) }, stopsAtProof: true)
            .map(\.trial)
    }
}
