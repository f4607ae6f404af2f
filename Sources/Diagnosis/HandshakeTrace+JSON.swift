// SPDX-License-Identifier: GPL-2.0-or-later
package import JSONText
internal import KnockProtocol
internal import Wire

extension HandshakeTrace {
    /// The stages as a JSON object.
    ///
    /// Numbers of the protocol are in hexadecimal, as in docs/vectors.json.
    package var json: JSONValue {
        .object([
            "client": .string("\(flow.clientAddress)"), "client_port": .integer(Int(flow.clientPort)),
            "server": .string("\(flow.serverAddress)"), "server_port": .integer(Int(flow.serverPort)),
            "begin_seconds": .integer(Int(begin.seconds)), "begin_nanoseconds": .integer(Int(begin.nanoseconds)),
            "client_isn": .string(clientISN.hexadecimal),
            "syn": syn.map(json) ?? .null,
            "syn_ack": synACK.map(json) ?? .null,
            "third_ack": thirdACK.map {
                .object(["after_microseconds": after($0.time), "acknowledges": $0.finding.json])
            }
                ?? .null,
            "after": .object([
                "client": client.json, "server": server.json, "server_went_on": .boolean(serverWentOn),
            ]),
            "verdict": .string(verdict.rawValue), "explanation": .string(verdict.explanation),
        ])
    }

    private func after(_ time: CaptureTime) -> JSONValue { .integer(Int(time.microseconds(since: begin))) }

    private func json(_ syn: SYN) -> JSONValue {
        var members: KeyValuePairs<String, JSONValue> {
            switch syn.finding {
            case .absent: ["finding": .string("no-code")]
            case .unexplained: ["finding": .string("unknown-code")]
            case .explained(let code):
                [
                    "finding": .string("right-code"), "key": .string(code.key), "mask": .string("\(code.mode)"),
                    "minutes_off": .integer(code.slotOffset), "uses_time": .boolean(code.slotOffset != nil),
                    "address": .string("\(code.candidate.address)"),
                    "bound_to": .string(code.candidate.binding.rawValue), "hint": .string(code.hint.rawValue),
                ]
            }
        }
        return .object(
            [
                .init("after_microseconds", after(syn.time)),
                .init("code", .string(syn.code.hexadecimal)),
                .init("repeated", .integer(repeatedSYNs)),
            ] + members.map { .init($0.key, $0.value) })
    }

    private func json(_ synACK: SYNACK) -> JSONValue {
        var members: KeyValuePairs<String, JSONValue> {
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
                .init("after_microseconds", after(synACK.time)),
                .init("isn", .string(synACK.capturedISN.hexadecimal)),
                .init("nonce", .string(synACK.nonce.hexadecimal)),
                .init("repeated", .integer(repeatedSYNACKs)),
                .init("repeated_after_third_ack", .integer(unheardSYNACKs)),
            ] + members.map { .init($0.key, $0.value) })
    }
}

extension AcknowledgmentFinding {
    var json: JSONValue {
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
    var json: JSONValue {
        .object([
            "bytes": .integer(bytes), "repeated_segments": .integer(repeatedSegments), "resets": .integer(resets),
            "fins": .integer(fins),
        ])
    }
}
