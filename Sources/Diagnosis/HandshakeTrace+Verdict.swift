// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

extension HandshakeTrace {
    /// The outcome of this handshake.
    package var verdict: TraceVerdict {
        guard let synACK else { return verdictWithoutAnswer }
        guard let thirdACK else {
            if client.resets > 0 || server.resets > 0 { return isCoded && !isProven(synACK) ? .proofFailed : .reset }
            return isCoded && !isProven(synACK) ? .proofFailed : .noThirdACK
        }
        switch thirdACK.finding {
        case .maskedISN: return .notUnmasked
        case .other: return .wrongAcknowledgment
        case .notJudged: return .partial
        case .capturedISN where isCoded && !serverWentOn: return .proofFailed
        case .trueISN, .capturedISN: break
        }
        if serverWentOn { return thirdACK.finding == .trueISN ? .works : .ordinary }
        if unheardSYNACKs > 0 { return .stalled }
        if server.resets > 0 { return .reset }
        return thirdACK.finding == .trueISN ? .complete : .ordinary
    }

    private var verdictWithoutAnswer: TraceVerdict {
        guard let syn else { return .partial }
        if server.resets > 0 { return .refused }
        switch syn.finding {
        case .absent: return .uncoded
        case .unexplained: return .unknownCode
        case .explained(let code): return code.isInTime ? .unanswered : .clock
        }
    }

    private var isCoded: Bool { syn.map { $0.finding != .absent } ?? false }

    private func isProven(_ synACK: SYNACK) -> Bool {
        if case .explained = synACK.finding { true } else { false }
    }
}
