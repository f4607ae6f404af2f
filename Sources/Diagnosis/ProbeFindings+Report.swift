// SPDX-License-Identifier: GPL-2.0-or-later
package import JSONText
internal import Wire

extension ProbeFindings {
    /// The report for people: one line for each stage, the experiments, and the likely causes.
    package var text: String {
        var lines = ["probe of \(serverAddress) from \(localAddress), key \(fingerprint)"]
        for stage in stages {
            lines.append("  \(stage.state.rawValue.padded(to: 8))\(stage.name.rawValue.padded(to: 15))\(stage.detail)")
        }
        if !trials.isEmpty {
            lines.append("Experiments:")
            lines += trialLines.map { "  \($0)" }
        }
        if works {
            lines.append("The knock works.")
        } else {
            lines.append("Likely reasons, most likely first:")
            for (number, reason) in reasons.enumerated() {
                lines.append("  \(number + 1). \(reason.text)")
                lines.append("     seen: \(reason.evidence)")
                lines.append("     do:   \(reason.advice)")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// One line for each experiment; those with codes of other minutes that got no answer share one.
    private var trialLines: [String] {
        let silent = trials.filter { trial in
            if case .minutesLater = trial.kind { trial.answer == .silence } else { false }
        }
        var lines = trials.filter { !silent.contains($0) }.map { "\($0.kind.text): \($0.answer.text)" }
        if !silent.isEmpty { lines.append("codes of \(silent.count) other minutes: no answer") }
        return lines
    }

    /// The report as a JSON object.
    package var json: JSONValue {
        .object([
            "server": .string("\(serverAddress)"), "local_address": .string("\(localAddress)"),
            "bound_to": .string("\(configured.address)"), "key": .string(fingerprint),
            "mask": .string("\(mode)"), "works": .boolean(works),
            "stages": .array(
                stages.map {
                    .object([
                        "name": .string($0.name.rawValue),
                        "state": .string($0.state == .skipped ? "skipped" : "\($0.state)"),
                        "detail": .string($0.detail),
                    ])
                }),
            "experiments": .array(
                trials.map { .object(["what": .string($0.kind.text), "answer": .string($0.answer.rawValue)]) }),
            "routers": .array(
                (hops ?? []).map {
                    .object([
                        "distance": .integer($0.distance), "address": .string("\($0.router)"),
                        "changes": .array($0.changes.map { .string($0.rawValue) }),
                    ])
                }),
            "windowed_gets_through": .boolean(windowedGetsThrough),
            "reasons": .array(
                reasons.map {
                    .object([
                        "cause": .string($0.cause.rawValue), "text": .string($0.text),
                        "evidence": .string($0.evidence), "advice": .string($0.advice),
                    ])
                }),
            "connection": connection?.json ?? .null,
        ])
    }
}

extension Trial.Kind {
    var text: String {
        switch self {
        case .asConfigured: "code by the settings"
        case .address(let candidate):
            candidate.binding == .source ? "code bound to \(candidate.address)" : "code \(candidate.text)"
        case .minutesLater(let minutes): "code of \(abs(minutes)) minutes \(minutes < 0 ? "earlier" : "later")"
        case .otherTiming: "code with the other time setting"
        case .wrongCode: "wrong code"
        }
    }
}

extension TrialAnswer {
    var text: String {
        switch self {
        case .silence: "no answer"
        case .refused: "refused"
        case .proven: "answered, proof right"
        case .unproven: "answered without a right proof"
        }
    }
}
