// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: every combination of flags in every state") struct ServerFlagTests {
    /// What the server knows of the ends when the segment comes.
    enum State: CaseIterable, Sendable {
        case nothing, begun, answered, verified, lockedOut

        func bench(_ conversation: Conversation) -> ServerBench {
            let bench = ServerBench()
            switch self {
            case .nothing: break
            case .begun: bench.begin(conversation)
            case .answered: bench.answer(conversation)
            case .verified: bench.verify(conversation)
            case .lockedOut: bench.lockOut(conversation)
            }
            return bench
        }
    }

    // The segment has the numbers of a right third ACK, so a SYN among them has a wrong code.
    private static func expectedInbound(_ flags: TCPFlags, _ state: State) -> Verdict {
        if state == .lockedOut { return Verdict(.drop, .lockedOut) }
        if flags.contains(.syn) {
            return Verdict(.drop, flags.isDisjoint(with: [.ack, .rst, .fin]) ? .synWithWrongCode : .impossibleFlags)
        }
        if flags.isDisjoint(with: [.ack, .rst]) { return Verdict(.drop, .impossibleFlags) }
        switch (state, flags.contains(.rst)) {
        case (.nothing, _), (.lockedOut, _): return Verdict(.drop, .segmentWithoutHandshake)
        case (.begun, true): return Verdict(.accept, .resetBeforeSynAck)
        case (.begun, false): return Verdict(.drop, .segmentBeforeSynAck)
        case (.answered, true): return Verdict(.accept, .resetOfHandshake)
        case (.answered, false): return Verdict(.acceptAsVerified, .acknowledgmentVerified)
        case (.verified, _): return Verdict(.acceptAsVerified, .segmentOfVerified)
        }
    }

    @Test("From the client", arguments: State.allCases, IPFamily.allCases)
    func inbound(_ state: State, _ family: IPFamily) {
        let conversation = Conversation(family)
        for byte in UInt8(0)...255 {
            let flags = TCPFlags(rawValue: byte)
            let segment = conversation.acknowledging(conversation.serverISN &+ 1, flags: flags)
            #expect(state.bench(conversation).receive(segment) == Self.expectedInbound(flags, state), "flags \(byte)")
        }
    }

    @Test("From the server", arguments: State.allCases, IPFamily.allCases)
    func outbound(_ state: State, _ family: IPFamily) {
        let conversation = Conversation(family)
        for byte in UInt8(0)...255 {
            let flags = TCPFlags(rawValue: byte)
            let segment = conversation.fromServer(
                sequence: conversation.serverISN, acknowledgment: conversation.clientISN &+ 1, flags)
            let verdict = state.bench(conversation).send(segment).verdict
            let isSYNACK = flags.isSuperset(of: [.syn, .ack]) && flags.isDisjoint(with: [.rst, .fin])
            switch state {
            case _ where !isSYNACK: #expect(verdict == Verdict(.drop, .otherSegment), "flags \(byte)")
            case .nothing: #expect(verdict == Verdict(.drop, .synAckWithoutHandshake), "flags \(byte)")
            case .lockedOut: #expect(verdict == Verdict(.drop, .lockedOut), "flags \(byte)")
            case .begun, .answered, .verified: #expect(verdict.reason == .synAckMasked, "flags \(byte)")
            }
        }
    }
}
