// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

extension HandshakeTrace {
    /// The stages for people: a headline and one indented line for each stage.
    package var text: String {
        var lines = ["\(flow)"]
        func add(_ time: CaptureTime, _ what: String, _ text: String) {
            lines.append("  \(seconds(time))  \(what.padded(to: 8))\(text)")
        }
        if let syn { add(syn.time, "SYN", syn.text + repeated(repeatedSYNs)) }
        if let synACK { add(synACK.time, "SYN/ACK", synACK.text + repeated(repeatedSYNACKs)) }
        if let thirdACK {
            let unheard = unheardSYNACKs > 0 ? "; the SYN/ACK was repeated after it" : ""
            add(thirdACK.time, "ACK", "acknowledges \(thirdACK.finding.text)\(unheard)")
        }
        if let after = textOfWhatFollowed { lines.append("  after:     \(after)") }
        lines.append("  verdict:   \(verdict.rawValue): \(verdict.explanation)")
        return lines.joined(separator: "\n") + "\n"
    }

    private var textOfWhatFollowed: String? {
        let parts = [("client", client), ("server", server)].compactMap { name, sender -> String? in
            var facts: [String] = []
            if sender.bytes > 0 { facts.append("\(sender.bytes) bytes") }
            if sender.repeatedSegments > 0 { facts.append("\(sender.repeatedSegments) segments again") }
            if sender.fins > 0 { facts.append("FIN") }
            if sender.resets > 0 { facts.append("RST") }
            return facts.isEmpty ? nil : "\(name) \(facts.joined(separator: ", "))"
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    private func repeated(_ times: Int) -> String {
        times == 0 ? "" : "; repeated \(times) time\(times == 1 ? "" : "s")"
    }

    private func seconds(_ time: CaptureTime) -> String {
        let microseconds = max(0, time.microseconds(since: begin))
        let fraction = String(1_000_000 + microseconds % 1_000_000).dropFirst()
        return "+\(microseconds / 1_000_000).\(fraction)"
    }
}

extension HandshakeTrace.SYN {
    var text: String {
        switch finding {
        case .absent: "no code"
        case .unexplained: "code \(code.hexadecimal), which no key explains"
        case .explained(let code): code.text
        }
    }
}

extension CodeExplanation {
    /// A one-line description.
    package var text: String {
        let slot =
            switch slotOffset {
            case nil: "without time"
            case 0?: "of this minute"
            case let offset?:
                "of \(abs(offset)) minute\(abs(offset) == 1 ? "" : "s") \(offset < 0 ? "before" : "later")"
            }
        return "right code of key '\(key)', \(mode) mask, \(slot), \(candidate.text), hint \(hint.text)"
    }
}

extension AddressCandidate {
    var text: String {
        switch binding {
        case .source: "bound to the source address"
        case .roaming: "bound to no address (roaming)"
        case .given: "bound to \(address)"
        }
    }
}

extension HintFinding {
    var text: String {
        switch self {
        case .right: "right"
        case .absent: "absent"
        case .other: "absent or changed"
        }
    }
}

extension HandshakeTrace.SYNACK {
    var text: String {
        switch finding {
        case .absent: "plain: without a proof"
        case .unexplained:
            "proof wrong or none: the nonce \(nonce.hexadecimal) and the ISN \(capturedISN.hexadecimal) do not match"
        case .explained(let proof):
            "proof right of key '\(proof.key)', true ISN \(proof.trueISN.hexadecimal), "
                + "masked (\(proof.mode)) \(capturedISN.hexadecimal)"
        }
    }
}

extension AcknowledgmentFinding {
    /// A description of the acknowledged number.
    package var text: String {
        switch self {
        case .trueISN: "the true ISN"
        case .maskedISN: "the masked ISN"
        case .capturedISN: "the ISN of the SYN/ACK as it is in this capture"
        case .other(let number): "another number, \(number.hexadecimal)"
        case .notJudged: "something; the SYN/ACK is not in this capture"
        }
    }
}

extension UInt32 {
    /// The number as eight hexadecimal digits, as in docs/vectors.json.
    var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

extension String {
    /// Pads the text with spaces to a width, with at least one space.
    package func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(1, width - count))
    }
}
