// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

extension ProbeFindings {
    /// The likely causes, the most likely first; empty if everything works.
    package var reasons: [LikelyReason] {
        guard let failed = stages.first(where: { $0.state == .failed }) else { return [] }
        switch failed.name {
        case .sent: return reasonsForNoSYN
        case .coded: return reasonsForTheCode
        case .answered: return outcome == .refused ? reasonsForARefusal : reasonsForSilence
        case .proven: return reasonsForTheProof
        case .unmasked: return [notUnmasking]
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
            advice:
                "start 'tcpknock-client'; if its rules are down, too: '\(clientUp)'"
        )
    }

    private var rulesMissing: LikelyReason {
        LikelyReason(
            .clientRulesMissing, "the client's rules do not lead this SYN to the daemon",
            evidence: "a process holds queue \(queueNumber), but the SYN left as the kernel made it",
            advice:
                "'\(clientUp)'; if it stays so, add the port to the client's target_ports, and do so again"
        )
    }

    /// The command that puts up the client's rules for the ports of its daemon.
    private var clientUp: String { "\(scripts)/client.sh up --flags-from tcpknock-client" }

    private var notUnmasking: LikelyReason {
        LikelyReason(
            .clientNotUnmasking, "the client's rules do not lead the SYN/ACK to the daemon, or that reads it otherwise",
            evidence:
                "a SYN/ACK with a right proof came to the interface, and this host's kernel did not get its true ISN",
            advice:
                "'\(clientUp)', which puts a rule of the raw table back; the daemon must have the same key, nat_ip "
                + "and isn_mask as when the SYN left")
    }

    // MARK: A RST

    private var reasonsForARefusal: [LikelyReason] {
        if answer(.wrongCode) == .refused {
            let closed = LikelyReason(
                .serverUnprotected, "nothing listens on that port, and it is not protected",
                evidence: "a SYN with a wrong code is refused as well",
                advice: "is it the right port? On the server: start the service, the daemon and the rules")
            // With on_failure set to "reset", a closed port and a wrong code look the same, by design.
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

    /// The address of the settings, for messages.
    var configuredText: String {
        configured.binding == .roaming ? "no address (roaming)" : "\(configured.address)"
    }
}
