// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: guests who roam") struct RoamingTests {
    private static let kinds = IPFamily.allCases.map { Conversation($0, .windowed) }

    private static func server(_ count: Int, roaming: Bool) -> GuestBench {
        GuestBench(
            (0..<count).map {
                Guest(id: KeyID(UInt32($0)), keys: ManyKeys.all[$0], ports: [22], isRoaming: roaming)
            })
    }

    @Test(
        "A code that is bound to no address is good from everywhere, where the guest may roam", arguments: kinds,
        [1, 50])
    func fromEverywhere(_ talk: Conversation, _ count: Int) {
        let server = Self.server(count, roaming: true)
        let syn = server.syn(talk, ManyKeys.all[count - 1], isRoaming: true)
        #expect(server.bench.receive(syn).reason == .synAccepted)
        let strict = Self.server(count, roaming: false)
        #expect(
            strict.bench.receive(strict.syn(talk, ManyKeys.all[count - 1], isRoaming: true)).reason == .synWithWrongCode
        )
    }

    @Test("Who may roam need not", arguments: kinds, [1, 50])
    func boundToo(_ talk: Conversation, _ count: Int) {
        let server = Self.server(count, roaming: true)
        #expect(server.bench.receive(server.syn(talk, ManyKeys.all[0])).reason == .synAccepted)
    }

    @Test("The whole handshake, its addresses translated on the way", arguments: kinds)
    func translated(_ talk: Conversation) throws {
        let server = Self.server(1, roaming: true)
        let target = Target(
            id: KeyID(0), keys: ManyKeys.all[0],
            prefixes: [IPPrefix(talk.server, length: talk.server.family == .ipv4 ? 32 : 128)].compactMap(\.self),
            ports: [22], binding: .none, requiresProof: true)
        var client = ClientEngine(targets: [target], handshakeCapacity: 4)
        let inside = talk.with { $0.client = IPAddress(high: $0.client.high, low: $0.client.low ^ 0x77) }
        // The translator changes addresses and nothing else: its packets are made anew from either side's values.
        var syn = inside.plainSYN
        var span = syn.mutableSpan
        #expect(client.process(&span, .outbound, at: server.bench.now).reason == .synCoded)
        let coded = try ParsedPacket(syn)
        var outside = TestPacket()
        (outside.source, outside.destination) = (talk.client, talk.server)
        (outside.sourcePort, outside.destinationPort) = (talk.clientPort, 22)
        (outside.sequenceNumber, outside.acknowledgmentNumber) = (talk.clientISN, coded.acknowledgmentNumber)
        (outside.flags, outside.identifier) = (.syn, coded.identifier)
        #expect(server.bench.receive(outside.bytes).reason == .synAccepted)
        let answer = try ParsedPacket(server.bench.send(talk.synAck()).bytes)
        #expect(answer.sequenceNumber &- talk.serverISN <= 32_768)
        var synAck = inside.fromServer(
            sequence: answer.sequenceNumber, acknowledgment: talk.clientISN &+ 1, [.syn, .ack],
            identifier: answer.identifier)
        var answerSpan = synAck.mutableSpan
        #expect(client.process(&answerSpan, .inbound, at: server.bench.now).reason == .synAckProven)
        #expect(try ParsedPacket(synAck).sequenceNumber == talk.serverISN)
        #expect(server.bench.receive(talk.thirdACK).reason == .acknowledgmentVerified)
    }

    @Test("A code is good once, from wherever it is sent again", arguments: kinds)
    func replay(_ talk: Conversation) {
        let server = Self.server(1, roaming: true)
        let syn = server.syn(talk, ManyKeys.all[0], isRoaming: true)
        #expect(server.bench.receive(syn).reason == .synAccepted)
        let elsewhere = talk.with { $0.client = IPAddress(high: $0.client.high, low: $0.client.low ^ 0x3) }
        #expect(server.bench.receive(server.syn(elsewhere, ManyKeys.all[0], isRoaming: true)).reason == .synReplayed)
        #expect(server.bench.receive(syn).reason == .synRetransmitted)
    }

    @Test("Two guests with the same ISN do not disturb each other", arguments: kinds)
    func sameISN(_ talk: Conversation) {
        let server = Self.server(2, roaming: true)
        #expect(server.bench.receive(server.syn(talk, ManyKeys.all[0], isRoaming: true)).reason == .synAccepted)
        let other = talk.with { $0.clientPort += 1 }
        #expect(server.bench.receive(server.syn(other, ManyKeys.all[1], isRoaming: true)).reason == .synAccepted)
    }
}
