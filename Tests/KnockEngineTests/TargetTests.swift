// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Client: targets") struct TargetTests {
    private static func target(
        _ number: UInt32, _ keys: KeySchedule, _ prefix: IPPrefix?, ports: [UInt16] = [22],
        binding: Target.Binding = .ownAddress, requiresProof: Bool = true
    ) -> Target {
        Target(
            id: KeyID(number), keys: keys, prefixes: [prefix].compactMap(\.self), ports: ports, binding: binding,
            requiresProof: requiresProof)
    }

    private static func bench(_ targets: [Target]) -> ClientBench {
        let bench = ClientBench()
        bench.engine = ClientEngine(targets: targets, handshakeCapacity: 16)
        return bench
    }

    /// The packet as it leaves, parsed.
    private static func send(_ bench: ClientBench, _ talk: Conversation) throws -> ParsedPacket {
        try ParsedPacket(bench.send(talk.plainSYN).bytes)
    }

    @Test("A SYN says which key its code was made with", arguments: Conversation.kinds)
    func hint(_ talk: Conversation) throws {
        let bench = ClientBench { ($0.sendsHint, $0.maskMode) = (true, talk.mode) }
        let hint = KeyHint(keys: TestKeys.published, slot: bench.now.slot)
        let (verdict, bytes) = bench.send(talk.plainSYN)
        let expected = HeaderRewrite(
            acknowledgmentNumber: talk.code(bench.now.slot), identifier: hint.identifier(talk.client.family))
        #expect(verdict == Verdict(.rewrite(expected), .synCoded))
        #expect(try ParsedPacket(bytes).identifier == hint.identifier(talk.client.family))
        #expect(try ParsedPacket(bytes).hasValidTCPChecksum)
    }

    @Test("Without time, the hint is that of slot 0") func timelessHint() throws {
        let bench = ClientBench { ($0.sendsHint, $0.usesTime) = (true, false) }
        let hint = KeyHint(keys: TestKeys.published, slot: .timeless)
        #expect(try Self.send(bench, Conversation()).identifier == hint.identifier(.ipv4))
    }

    @Test("Several servers with different keys", arguments: IPFamily.allCases)
    func severalServers(_ family: IPFamily) throws {
        let (first, second) = (
            Conversation(family),
            Conversation(family).with { talk in
                talk.server = IPAddress(high: talk.server.high, low: talk.server.low ^ 0x70)
            }
        )
        let length = family == .ipv4 ? 32 : 128
        let bench = Self.bench([
            Self.target(1, TestKeys.published, IPPrefix(first.server, length: length)),
            Self.target(2, TestKeys.other, IPPrefix(second.server, length: length)),
        ])
        let slot = bench.now.slot
        #expect(try Self.send(bench, first).acknowledgmentNumber == first.code(slot))
        #expect(try Self.send(bench, second).acknowledgmentNumber == second.code(slot, keys: TestKeys.other))
        let third = first.with { $0.server = IPAddress(high: $0.server.high, low: $0.server.low ^ 0x71) }
        #expect(bench.send(third.plainSYN).verdict == Verdict(.accept, .synToOtherServer))
        // The answer of one is no proof of the other.
        #expect(bench.receive(first.maskedSYNACK()).verdict.reason == .synAckProven)
        #expect(bench.receive(second.maskedSYNACK()).verdict == Verdict(.drop, .proofWrong))
        var parties: [UInt32?] = []
        while let event = bench.engine.nextEvent() { parties.append(event.key?.number) }
        #expect(parties == [1, 2])
    }

    @Test("The target with the longest prefix goes first, whatever their order", arguments: [false, true])
    func longestPrefix(_ isReversed: Bool) throws {
        let talk = Conversation()
        let targets = [
            Self.target(1, TestKeys.other, IPPrefix(talk.server, length: 8)),
            Self.target(2, TestKeys.published, IPPrefix(talk.server, length: 32)),
            Self.target(3, TestKeys.other, IPPrefix(talk.server, length: 0)),
        ]
        let bench = Self.bench(isReversed ? targets.reversed() : targets)
        #expect(try Self.send(bench, talk).acknowledgmentNumber == talk.code(bench.now.slot))
    }

    @Test("A target of another port is passed over") func ports() throws {
        let talk = Conversation()
        let bench = Self.bench([
            Self.target(1, TestKeys.other, IPPrefix(talk.server, length: 32), ports: [80]),
            Self.target(2, TestKeys.published, IPPrefix(talk.server, length: 0), ports: [22]),
        ])
        #expect(try Self.send(bench, talk).acknowledgmentNumber == talk.code(bench.now.slot))
        #expect(bench.send(talk.with { $0.serverPort = 443 }.plainSYN).verdict == Verdict(.accept, .otherPort))
    }

    @Test("Codes that are bound to no address ask for a windowed mask", arguments: IPFamily.allCases)
    func roaming(_ family: IPFamily) throws {
        let talk = Conversation(family)
        let length = family == .ipv4 ? 32 : 128
        let bench = Self.bench([
            Self.target(1, TestKeys.published, IPPrefix(talk.server, length: length), binding: .none)
        ])
        let roaming = Handshake.roaming(clientISN: talk.clientISN)
        let code = SYNCode(keys: TestKeys.published, handshake: roaming, slot: bench.now.slot)
        #expect(try Self.send(bench, talk).acknowledgmentNumber == code.windowed)
    }

    @Test("Handshakes with targets that stay go on, others end", arguments: Conversation.kinds)
    func adoption(_ talk: Conversation) {
        let length = talk.client.family == .ipv4 ? 32 : 128
        let prefix = IPPrefix(talk.server, length: length)
        let bench = Self.bench([
            Target(
                id: KeyID(1), keys: TestKeys.published, prefixes: [prefix].compactMap(\.self), ports: [22],
                maskMode: talk.mode, requiresProof: true)
        ])
        #expect(bench.send(talk.plainSYN).verdict.reason == .synCoded)
        // The name has another address now: the handshake still belongs to the target.
        bench.engine.adopt(targets: [
            Target(
                id: KeyID(1), keys: TestKeys.published, prefixes: [], ports: [22], maskMode: talk.mode,
                requiresProof: true)
        ])
        #expect(bench.receive(talk.maskedSYNACK()).verdict.reason == .synAckProven)
        bench.engine.adopt(targets: [Self.target(2, TestKeys.other, prefix)])
        #expect(bench.receive(talk.maskedSYNACK()).verdict == Verdict(.drop, .proofWrong))
        bench.engine.adopt(targets: [])
        #expect(bench.receive(talk.maskedSYNACK()).verdict.reason == .otherPort)
    }
}
