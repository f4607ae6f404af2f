// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

extension ProbeFindings {
    /// The server admits everybody.
    var unprotected: LikelyReason {
        LikelyReason(
            .serverUnprotected, "the server does not protect this port: its rules or its daemon are missing",
            evidence: answer(.wrongCode).map { _ in "a SYN with a wrong code is answered as well" }
                ?? "a SYN without a code is answered",
            advice:
                "on the server: start 'tcpknock-server', then '\(scripts)/server.sh up --flags-from tcpknock-server'; "
                + "the port must be among its target_ports"
        )
    }

    /// The likely causes of a SYN/ACK that does not prove the key.
    var reasonsForTheProof: [LikelyReason] {
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

    /// The probability, in percent, that this many unmasked or changed sequence numbers all have a solution: (1 -
    /// 1/e)^count.
    private static func percentByChance(_ count: Int) -> String {
        var probability = 100.0
        for _ in 0..<count { probability *= 0.632 }
        let tenths = Int(probability * 10 + 0.5)
        return "\(tenths / 10).\(tenths % 10)"
    }
}
