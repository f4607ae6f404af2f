// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

extension ProbeFindings {
    /// What the cause may be, the most likely first; empty if all is well.
    package var reasons: [LikelyReason] {
        guard let failed = stages.first(where: { $0.state == .failed }) else { return [] }
        switch failed.name {
        case .sent: return reasonsForNoSYN
        case .coded: return reasonsForTheCode
        case .answered: return outcome == .refused ? reasonsForARefusal : reasonsForSilence
        case .proven: return reasonsForTheProof
        case .unmasked: return [Self.notUnmasking]
        case .accepted: return reasonsForTheEnd
        }
    }

    // MARK: The client's host

    private var reasonsForNoSYN: [LikelyReason] {
        [
            LikelyReason(
                .localFirewall, "this host's own firewall or routing keeps the SYN back",
                evidence: stages[0].detail,
                advice:
                    "look at the OUTPUT rules and at 'ip route get \(serverAddress)'; if the way is through another "
                    + "interface, name it with --interface")
        ]
    }

    private var reasonsForTheCode: [LikelyReason] {
        guard code == .unexplained else {
            return [queueIsHeld ? rulesMissing : daemonMissing] + (connection?.synACK == nil ? [] : [unprotected])
        }
        let proven = answer(.asConfigured) == .proven
        let isAnswered = connection?.synACK != nil
        let evidence =
            if isAnswered {
                "the server answers the daemon's SYN, so the daemon's settings are right, and those given here are not"
            } else if proven {
                "a SYN with a code by the settings given here is answered, with a right proof"
            } else {
                "the code on the wire is not of the key \(fingerprint), bound to \(configuredText), of now"
            }
        let difference = LikelyReason(
            .clientOtherSettings,
            "the client's daemon has another key, another nat_ip or another clock setting than this probe",
            evidence: evidence, advice: "give both the same settings: --key-file, --nat-ip, --no-time")
        return [difference] + (proven || isAnswered || trials.isEmpty ? [] : reasonsForSilence)
    }

    private var daemonMissing: LikelyReason {
        LikelyReason(
            .clientDaemonMissing, "the client's daemon is not running",
            evidence: "no process holds queue \(queueNumber), and the SYN left as the kernel made it",
            advice: "start 'tcpknock-client' (and 'client.sh up', if 'client.sh status' says that its rules are down)")
    }

    private var rulesMissing: LikelyReason {
        LikelyReason(
            .clientRulesMissing, "the client's rules do not lead this SYN to the daemon",
            evidence: "a process holds queue \(queueNumber), but the SYN left as the kernel made it",
            advice: "'client.sh status'; 'client.sh up' with --target-port for this port; give the daemon the same port"
        )
    }

    private static let notUnmasking = LikelyReason(
        .clientNotUnmasking, "the client's rules do not lead the SYN/ACK to the daemon, or that reads it otherwise",
        evidence: "a SYN/ACK with a right proof came to the interface, and this host's kernel did not get its true ISN",
        advice:
            "'client.sh status': the rule in the raw table must be there; the daemon must have the same key, nat_ip "
            + "and isn_mask as when the SYN left")

    // MARK: No answer

    private var reasonsForSilence: [LikelyReason] {
        if let found = reasonsFound { return found }
        var reasons: [LikelyReason] = []
        if let unreachable {
            reasons.append(
                LikelyReason(
                    .rejected, "a host on the way rejects the SYN",
                    evidence: "\(unreachable.reporter) sent an ICMP error",
                    advice: "ask who runs it, or take another way"))
        }
        if let hop = hops?.first(where: { !$0.changes.isEmpty }) {
            // The hint alone: a server that looks at it finds no key then.
            reasons.append(codeChanged(at: hop))
        }
        if natIsPossible {
            reasons.append(
                LikelyReason(
                    .natAddress, "a NAT is on the way, and codes are bound to an address that the server does not see",
                    evidence: "this host's address \(localAddress) is private and the server is not on its network; "
                        + "codes are bound to \(configuredText)",
                    advice: "find out the address that the server sees you come from, and give it as nat_ip (here: "
                        + "--try-address); or nat_ip = \"auto\" where the server allows this guest to roam"))
        }
        reasons.append(
            LikelyReason(
                .wrongKey, "the two hosts have different keys", evidence: whatWasExcluded,
                advice: "compare 'keygen --fingerprint' on both hosts; the one here is \(fingerprint)"))
        reasons.append(
            LikelyReason(
                .serverDaemonMissing, "the server's daemon is not running, and its rules are up",
                evidence: "then the server's rules drop every SYN",
                advice: "on the server: is tcpknock-server running, with the queue of its rules ('server.sh status')?"))
        reasons.append(
            LikelyReason(
                .lockedOut, "the server has locked this client's address out",
                evidence: "then nothing from it is answered, for two minutes by default",
                advice: "wait, and send nothing meanwhile that could be wrong; the server's log says 'locked out'"))
        if !serverIsOnLink {
            reasons.append(
                LikelyReason(
                    .codeChanged, "a box on the way clears the acknowledgment field of SYNs, or changes their ISN",
                    evidence: hopsText,
                    advice: "take another way, such as a VPN past that box; compare captures of both hosts "
                        + "('tcpknock trace')"))
        }
        reasons.append(
            LikelyReason(
                .unreachable, "the server is down, or a firewall drops this port", evidence: "nothing came back at all",
                advice: "does the server answer on another port, or to ping?"))
        return reasons
    }

    /// What experiments have shown, so that nothing else need be named.
    private var reasonsFound: [LikelyReason]? {
        if let hop = hops?.first(where: { $0.breaksTheCode }) { return [codeChanged(at: hop)] }
        for trial in trials where trial.answer == .proven {
            switch trial.kind {
            case .address(let candidate): return [natAddress(candidate)]
            case .minutesLater(let minutes): return [clock(minutes)]
            case .otherTiming:
                return [
                    LikelyReason(
                        .timeSetting, "one side uses the time for codes, the other does not",
                        evidence: "a code with the other setting is answered, with a right proof",
                        advice: "give no_time on both sides or on none")
                ]
            case .asConfigured where code != .unexplained:
                return [
                    LikelyReason(
                        .lost, "a packet was lost",
                        evidence: "the same kind of SYN, sent later, was answered with a right proof",
                        advice: "try again; if it happens often, look at the path")
                ]
            case .asConfigured, .wrongCode: continue
            }
        }
        return nil
    }

    private func natAddress(_ candidate: AddressCandidate) -> LikelyReason {
        let advice =
            switch candidate.binding {
            case .source: "remove nat_ip from the client's settings: the server sees \(localAddress)"
            case .roaming: "set nat_ip = \"auto\", or nat_ip to the address that the server sees"
            case .given: "set nat_ip = \"\(candidate.address)\" in the client's settings"
            }
        return LikelyReason(
            .natAddress, "the code is bound to an address that the server does not see (wrong nat_ip)",
            evidence: "bound to \(configuredText): no answer; \(candidate.text): answered, with a right proof",
            advice: advice)
    }

    private func clock(_ minutes: Int) -> LikelyReason {
        let ahead = minutes > 0 ? "ahead of" : "behind"
        let range = "\(abs(minutes) - 1) to \(abs(minutes) + 1) minutes"
        return LikelyReason(
            .clock, "the clocks differ: the server's is \(range) \(ahead) this host's",
            evidence: "a code of the minute \(abs(minutes)) \(minutes > 0 ? "later" : "earlier") is answered, with a "
                + "right proof",
            advice: "compare 'date -u' on both hosts with a clock that is right, and correct the one that is wrong; "
                + "or use no_time on both")
    }

    private func codeChanged(at hop: Hop) -> LikelyReason {
        let before = hop.distance == 1 ? "this host" : "router \(hop.distance - 1)"
        return LikelyReason(
            .codeChanged, "a box on the way changes SYNs: \(hop.changes.map(\.rawValue).joined(separator: ", "))",
            evidence: "router \(hop.distance) (\(hop.router)) got it changed: it happened between \(before) and there",
            advice: "let who runs that box leave SYNs alone (\"TCP normalisation\", \"ISN randomisation\"), or take "
                + "another way, such as a VPN")
    }

    // MARK: A RST

    private var reasonsForARefusal: [LikelyReason] {
        if answer(.wrongCode) == .refused {
            let closed = LikelyReason(
                .serverUnprotected, "nothing listens on that port, and it is not protected",
                evidence: "a SYN with a wrong code is refused as well",
                advice: "is it the right port? On the server: start the service, the daemon and the rules")
            // Where on_failure is "reset", a closed port and a wrong code look the same, which is what it is for.
            return reasonsFound ?? [closed] + reasonsForSilence.filter { $0.cause != .unreachable }
        }
        return [
            LikelyReason(
                .serviceDown, "the knock works; the service behind is not running",
                evidence: "a right code is answered with a RST"
                    + (answer(.wrongCode) == .silence ? ", a wrong one not at all" : ""),
                advice: "on the server: start the service, or let it listen on this address and port")
        ]
    }

    // MARK: A SYN/ACK without proof

    private var unprotected: LikelyReason {
        LikelyReason(
            .serverUnprotected, "the server does not protect this port: its rules or its daemon are missing",
            evidence: answer(.wrongCode).map { _ in "a SYN with a wrong code is answered as well" }
                ?? "a SYN without a code is answered",
            advice: "on the server: start tcpknock-server, then 'server.sh up' with --target-port for this port")
    }

    private var reasonsForTheProof: [LikelyReason] {
        if let wrong = answer(.wrongCode), wrong != .silence { return [unprotected] }
        let boxes =
            "take another way, such as a VPN past that box; until then connections to this server end in a lockout"
        if let (solvable, total) = nonceSolutions, total > 0 {
            guard solvable == total else {
                return [
                    LikelyReason(
                        .isnChanged, "a box on the way changes the server's sequence numbers (ISN randomisation)",
                        evidence: "of \(total) SYN/ACKs, \(total - solvable) have a sequence number that goes with no "
                            + "nonce at all; a wrong code is not answered, so the server is protected",
                        advice: "let who runs the box switch that off, or \(boxes)")
                ]
            }
            let field = serverAddress.family == .ipv4 ? "identification field" : "flow label"
            let chance = Self.percentByChance(total)
            return [
                LikelyReason(
                    .nonceChanged, "a box on the way \(noncesAreZero ? "clears" : "changes") the \(field) of SYN/ACKs",
                    evidence: "the sequence numbers of all \(total) SYN/ACKs go with some nonce, but not with the one "
                        + "that came (by chance with a probability of \(chance) %)",
                    advice: boxes)
            ]
        }
        return [
            LikelyReason(
                .answerChanged, "a box on the way changes the SYN/ACK, or another server answers",
                evidence: "the SYN/ACK does not prove the key, and one is too little to tell what was changed",
                advice: boxes)
        ]
    }

    /// How probable it is that so many unmasked or changed sequence numbers all go with some nonce: (1 - 1/e)^count.
    private static func percentByChance(_ count: Int) -> String {
        var probability = 100.0
        for _ in 0..<count { probability *= 0.632 }
        let tenths = Int(probability * 10 + 0.5)
        return "\(tenths / 10).\(tenths % 10)"
    }

    // MARK: After the third ACK

    private var reasonsForTheEnd: [LikelyReason] {
        guard outcome == .stalled else {
            return [
                LikelyReason(
                    .lost, "the connection ended before the server went on",
                    evidence: connection.map { "as captured: \($0.verdict.rawValue)" } ?? "nothing was captured",
                    advice: "try again; the server's log says what it saw")
            ]
        }
        let advice: String
        switch (mode, windowedGetsThrough) {
        case (.full, true?): advice = "use --isn-mask windowed (isn_mask = \"windowed\") on the client: it gets through"
        case (.full, nil): advice = "try --isn-mask windowed (isn_mask = \"windowed\") on the client"
        case (.full, false?):
            advice = "a windowed mask does not get through either: take another way, such as a VPN past that box"
        case (.windowed, _): advice = "the mask is windowed already: take another way, such as a VPN past that box"
        }
        return [
            LikelyReason(
                .statefulBox, "a stateful box on the way drops the third ACK, since it saw another ISN in the SYN/ACK",
                evidence: "the server repeats its SYN/ACK after the ACK of its true ISN"
                    + (windowedGetsThrough == true ? "; with a windowed mask an acknowledgment gets through" : ""),
                advice: advice)
        ]
    }

    // MARK: Texts

    private var configuredText: String {
        configured.binding == .roaming ? "no address (roaming)" : "\(configured.address)"
    }

    /// What the experiments without an answer speak against.
    private var whatWasExcluded: String {
        var tried: [String] = []
        let minutes = trials.compactMap { if case .minutesLater(let minutes) = $0.kind { abs(minutes) } else { nil } }
        if let most = minutes.max() { tried.append("\(most + 1) minutes before and after now") }
        let addresses = trials.compactMap { trial -> String? in
            guard case .address(let candidate) = trial.kind else { return nil }
            return candidate.binding == .roaming ? "no address (roaming)" : "\(candidate.address)"
        }
        if !addresses.isEmpty { tried.append("bound to \(addresses.joined(separator: ", "))") }
        if answer(.otherTiming) != nil { tried.append("with the other time setting") }
        return tried.isEmpty
            ? "no code was answered" : "no code was answered, nor one of \(tried.joined(separator: "; "))"
    }

    private var hopsText: String {
        guard let hops else { return "the path was not looked at" }
        guard let last = hops.last else {
            return "no router on the way reports what it gets, so nothing is known of them"
        }
        let count = hops.count
        return
            "\(count) router\(count == 1 ? "" : "s") got the SYN as it was sent, the last of them \(last.router); what "
            + "happens behind cannot be seen from here"
    }
}
