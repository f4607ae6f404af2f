// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

extension ProbeFindings {
    /// The likely causes of silence.
    var reasonsForSilence: [LikelyReason] {
        if let found = reasonsFound { return found }
        var reasons = isSigned ? [signed] : []
        if let unreachable {
            reasons.append(
                LikelyReason(
                    .rejected, "a host on the way rejects the SYN",
                    evidence: "\(unreachable.reporter) sent an ICMP error",
                    advice: "ask who runs it, or take another way"))
        }
        if let hop = hops?.first(where: { !$0.changes.isEmpty }) {
            // Perhaps only the hint was changed: a server that relies on hints then finds no key.
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
                advice:
                    "on the server: 'tcpknock doctor' says whether it runs, and how to start it"
            ))
        reasons.append(
            LikelyReason(
                .lockedOut, "the server has locked this client's address out",
                evidence: "then nothing from it is answered, for two minutes by default",
                advice:
                    "wait, and send nothing meanwhile that could be wrong (where lockout_after_wrong_codes is set, the "
                    + "experiments of a probe are); the server's log and 'tcpknock locks' there name who is locked out")
        )
        if !serverIsOnLink {
            reasons.append(
                LikelyReason(
                    .codeChanged, "a box on the way clears the acknowledgment field of SYNs, or changes their ISN",
                    evidence: hopsText,
                    advice: "take another way, such as a VPN past that box; compare captures of both hosts "
                        + "('tcpknock trace')"))
        }
        if !isSigned { reasons.append(signed) }
        reasons.append(
            LikelyReason(
                .unreachable, "the server is down, or a firewall drops this port", evidence: "nothing came back at all",
                advice: "does the server answer on another port, or to ping?"))
        return reasons
    }

    /// The service signs its segments.
    ///
    /// The server's kernel drops segments that the knock has changed, and with a knock in front of the service that
    /// looks like silence.
    private var signed: LikelyReason {
        LikelyReason(
            .signed,
            "the service signs its segments (TCP MD5 or TCP-AO, as BGP does), and the knock changes what is signed",
            evidence: isSigned
                ? "a program of this host has a key for segments to that address and port"
                : "then the server's kernel drops a SYN that the knock lets in; of keys, this host has none for it",
            advice:
                "no knock can be used with it: have the server exempt this host (exempt = [\"\(localAddress)\"], as "
                + "'tcpknock doctor' there says), and leave the server out of the client's targets")
    }

    /// The causes that experiments have established, so that no others need be named; nil if there are none.
    var reasonsFound: [LikelyReason]? {
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

    /// The explanations that the unanswered experiments make unlikely.
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
