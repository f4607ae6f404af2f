// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// The outcome of a handshake, as far as a capture shows it.
package enum TraceVerdict: String, CaseIterable, Sendable {
    case works
    case complete
    case ordinary
    case uncoded
    case unknownCode = "unknown-code"
    case clock
    case unanswered
    case refused
    case proofFailed = "proof-failed"
    case notUnmasked = "not-unmasked"
    case wrongAcknowledgment = "wrong-acknowledgment"
    case noThirdACK = "no-third-ack"
    case stalled
    case reset
    case partial

    /// The meaning of the verdict, in plain words.
    package var explanation: String {
        switch self {
        case .works: "the knock works: the server took the third ACK and went on"
        case .complete: "the handshake is complete and right; nothing of the server came after it in this capture"
        case .ordinary: "an ordinary connection without a knock"
        case .uncoded:
            "the SYN carries no code and got no answer: where it was captured, no client daemon had changed it"
        case .unknownCode:
            "the SYN carries a code that no key given here explains, in the minutes and with the addresses tried, and "
                + "got no answer: another key, another clock (--slots), or another address (--client-address)"
        case .clock:
            "the code is right for another minute than that of the host that captured this: one of the two clocks is "
                + "wrong; a server accepts one minute more or less"
        case .unanswered:
            "the code is right, but no answer is in this capture. On the client or on the way: the SYN or the answer "
                + "was lost, or the server has another clock or key, or does not run, or locked this client out. On "
                + "the server, 'tcpknock-server' logs the reason"
        case .refused: "answered with a RST: nothing listens on that port (a protected port answers right codes only)"
        case .proofFailed:
            "the code is right but the answer does not prove the key: the server is not protected, or its answer was "
                + "changed on the way (identification field, flow label or sequence number)"
        case .notUnmasked:
            "the client acknowledged the masked ISN: its daemon did not unmask the SYN/ACK (not running, its rules "
                + "missing, another mask or address than the code's). The server locks out who sends this"
        case .wrongAcknowledgment:
            "the client acknowledged a number that is neither the true nor the masked ISN: a box on the way changes "
                + "sequence numbers, or somebody guesses. The server locks out who sends this"
        case .noThirdACK: "the SYN/ACK is there, but no third ACK: the client did not get it, dropped it, or gave up"
        case .stalled:
            "the third ACK was sent, but the server repeats its SYN/ACK: the ACK was dropped on the way. A stateful "
                + "box does that with a full mask; the client's --isn-mask windowed gets past it"
        case .reset: "the connection was reset"
        case .partial: "too little of it is in this capture"
        }
    }
}
