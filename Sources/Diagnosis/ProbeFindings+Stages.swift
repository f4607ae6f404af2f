// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

extension ProbeFindings {
    /// All stages; those after the first failure are skipped.
    package var stages: [ProbeStage] {
        var failed = false
        return ProbeStage.Name.allCases.map { name in
            guard !failed else { return ProbeStage(name: name, state: .skipped, detail: "") }
            let (isOK, detail) = judge(name)
            failed = !isOK
            return ProbeStage(name: name, state: isOK ? .ok : .failed, detail: detail)
        }
    }

    /// Whether all stages succeeded.
    package var works: Bool { stages.allSatisfy { $0.state == .ok } }

    private func judge(_ name: ProbeStage.Name) -> (isOK: Bool, detail: String) {
        switch name {
        case .sent: judgeSYN()
        case .coded: judgeCode()
        case .answered: judgeAnswer()
        case .proven: judgeProof()
        case .unmasked:
            outcome == .notUnmasked
                ? (false, "the SYN/ACK came, but not to the kernel with the true ISN")
                : (true, "this host's kernel has the connection")
        case .accepted: judgeEnd()
        }
    }

    private func judgeSYN() -> (Bool, String) {
        if connection?.syn != nil {
            return (true, "from \(localAddress)\(again(connection?.repeatedSYNs))")
        }
        if case .failed(let reason) = outcome { return (false, reason) }
        return (false, "no SYN was seen on the interface")
    }

    private func judgeCode() -> (Bool, String) {
        switch code {
        case .explained(let code)?: (true, code.text)
        case .unexplained?: (false, "the SYN has a code, but not of this key, time and address")
        case .absent?, nil: (false, "the SYN left this host without a code")
        }
    }

    private func judgeAnswer() -> (Bool, String) {
        if let synACK = connection?.synACK {
            return (true, "sequence number \(synACK.capturedISN.hexadecimal), nonce \(synACK.nonce.hexadecimal)")
        }
        if outcome == .refused { return (false, "refused: a RST came") }
        if let unreachable { return (false, "\(unreachable.reporter) reports that it cannot be delivered") }
        return (false, "no answer\(again(connection?.repeatedSYNs))")
    }

    private func judgeProof() -> (Bool, String) {
        switch connection?.synACK?.finding {
        case .explained(let proof)?: (true, "proof right, true ISN \(proof.trueISN.hexadecimal)")
        case .absent?: (false, "a plain SYN/ACK without proof")
        case .unexplained?, nil: (false, "nonce and ISN do not match the key")
        }
    }

    private func judgeEnd() -> (Bool, String) {
        switch outcome {
        case .works: (true, "the server went on")
        case .unconfirmed: (true, "the server did not repeat its SYN/ACK; the service said nothing yet")
        case .stalled: (false, "the server repeats its SYN/ACK: it did not get the third ACK")
        default: (false, "the connection ended")
        }
    }

    private func again(_ times: Int?) -> String {
        guard let times, times > 0 else { return "" }
        return " (sent \(times + 1) times)"
    }
}
