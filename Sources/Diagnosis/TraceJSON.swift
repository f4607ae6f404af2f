// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

extension HandshakeTrace {
    /// The stages as an object; numbers of the protocol are hexadecimal digits as in docs/vectors.json.
    package var json: JSONTree {
        .object([
            "client": .string("\(flow.clientAddress)"), "client_port": .number(Int(flow.clientPort)),
            "server": .string("\(flow.serverAddress)"), "server_port": .number(Int(flow.serverPort)),
            "begin_seconds": .number(Int(begin.seconds)), "begin_nanoseconds": .number(Int(begin.nanoseconds)),
            "client_isn": .string(clientISN.hexadecimal),
            "syn": syn.map(json) ?? .null,
            "syn_ack": synACK.map(json) ?? .null,
            "third_ack": thirdACK.map {
                .object(["after_microseconds": after($0.time), "acknowledges": $0.finding.json])
            }
                ?? .null,
            "after": .object([
                "client": client.json, "server": server.json, "server_went_on": .bool(serverWentOn),
            ]),
            "verdict": .string(verdict.rawValue), "explanation": .string(verdict.explanation),
        ])
    }

    private func after(_ time: CaptureTime) -> JSONTree { .number(Int(time.microseconds(since: begin))) }

    private func json(_ syn: SYN) -> JSONTree {
        var members: KeyValuePairs<String, JSONTree> {
            switch syn.finding {
            case .absent: ["finding": .string("no-code")]
            case .unexplained: ["finding": .string("unknown-code")]
            case .explained(let code):
                [
                    "finding": .string("right-code"), "key": .string(code.key), "mask": .string("\(code.mode)"),
                    "minutes_off": .number(code.slotOffset), "uses_time": .bool(code.slotOffset != nil),
                    "address": .string("\(code.candidate.address)"),
                    "bound_to": .string(code.candidate.binding.rawValue), "hint": .string(code.hint.rawValue),
                ]
            }
        }
        return .object(
            [
                .init(name: "after_microseconds", value: after(syn.time)),
                .init(name: "code", value: .string(syn.code.hexadecimal)),
                .init(name: "repeated", value: .number(repeatedSYNs)),
            ] + members.map { .init(name: $0.key, value: $0.value) })
    }

    private func json(_ synACK: SYNACK) -> JSONTree {
        var members: KeyValuePairs<String, JSONTree> {
            switch synACK.finding {
            case .absent: ["finding": .string("plain")]
            case .unexplained: ["finding": .string("not-proven")]
            case .explained(let proof):
                [
                    "finding": .string("proven"), "key": .string(proof.key), "mask": .string("\(proof.mode)"),
                    "true_isn": .string(proof.trueISN.hexadecimal),
                    "address": .string("\(proof.candidate.address)"),
                ]
            }
        }
        return .object(
            [
                .init(name: "after_microseconds", value: after(synACK.time)),
                .init(name: "isn", value: .string(synACK.capturedISN.hexadecimal)),
                .init(name: "nonce", value: .string(synACK.nonce.hexadecimal)),
                .init(name: "repeated", value: .number(repeatedSYNACKs)),
                .init(name: "repeated_after_third_ack", value: .number(unheardSYNACKs)),
            ] + members.map { .init(name: $0.key, value: $0.value) })
    }
}

extension AcknowledgmentFinding {
    var json: JSONTree {
        switch self {
        case .trueISN: .string("true-isn")
        case .maskedISN: .string("masked-isn")
        case .capturedISN: .string("captured-isn")
        case .other: .string("other")
        case .notJudged: .string("not-judged")
        }
    }
}

extension HandshakeTrace.Sender {
    var json: JSONTree {
        .object([
            "bytes": .number(bytes), "repeated_segments": .number(repeatedSegments), "resets": .number(resets),
            "fins": .number(fins),
        ])
    }
}
