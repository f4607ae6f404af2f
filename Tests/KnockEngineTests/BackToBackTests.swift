// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

/// Both engines with a wire between them, and kernels that do what kernels do.
@Suite("Client and server back to back") struct BackToBackTests {
    /// What lies between client and server.
    enum Path: CaseIterable, Sendable {
        case direct, nat
    }

    /// Runs a handshake; the client's kernel acknowledges what it sees, and the server's compares.
    private static func connect(
        _ client: ClientBench, _ server: ServerBench, _ conversation: Conversation, through path: Path
    ) throws -> Bool {
        // The addresses on the client's side of the path.
        let inside = path == .direct ? conversation : conversation.with { $0.client = Self.insideAddress($0) }
        let syn = try ParsedPacket(client.send(inside.plainSYN).bytes)
        let onTheWire = conversation.fromClient(
            sequence: syn.sequenceNumber, acknowledgment: syn.acknowledgmentNumber, syn.flags)
        guard server.receive(onTheWire).action == .accept else { return false }

        let synAck = try ParsedPacket(server.send(conversation.synAck()).bytes)
        let back = inside.fromServer(
            sequence: synAck.sequenceNumber, acknowledgment: synAck.acknowledgmentNumber, synAck.flags,
            identifier: synAck.identifier)
        let (verdict, bytes) = client.receive(back)
        guard verdict.action != .drop else { return false }

        let seen = try ParsedPacket(bytes).sequenceNumber
        let third = conversation.acknowledging(seen &+ 1)
        return server.receive(third).action == .acceptAsVerified && seen == conversation.serverISN
    }

    private static func insideAddress(_ conversation: Conversation) -> IPAddress {
        conversation.client.family == .ipv4 ? IPAddress(10, 0, 0, 5) : IPAddress(high: 0xfd00 << 48, low: 5)
    }

    private static func client(_ conversation: Conversation, _ path: Path) -> ClientBench {
        ClientBench {
            $0.maskMode = conversation.mode
            $0.servers = [IPPrefix(conversation.server, length: 0)].compactMap(\.self)
            $0.natAddresses = path == .nat ? [conversation.client.family: conversation.client] : [:]
        }
    }

    @Test("Hundreds of connections", arguments: Conversation.kinds, Path.allCases)
    func manyConnections(_ kind: Conversation, _ path: Path) throws {
        var random = SeededGenerator("connections, \(kind), \(path)")
        let (client, server) = (Self.client(kind, path), ServerBench { $0.replayCapacity = 1000 })
        for index in UInt16(0)..<300 {
            let conversation = kind.with {
                $0.clientPort = 1024 + index
                $0.clientISN = .random(in: 0...UInt32.max, using: &random)
                $0.serverISN = .random(in: 0...UInt32.max, using: &random)
            }
            #expect(try Self.connect(client, server, conversation, through: path), "connection \(index)")
            client.wait(seconds: 1)
            server.wait(seconds: 1)
        }
        #expect(server.engine.counters[.acknowledgmentVerified] == 300)
        #expect(client.engine.counters[.synAckProven] == 300)
    }

    @Test("Clocks that differ by up to a minute", arguments: [-60, -1, 0, 1, 60] as [Int64])
    func clocksDiffer(_ seconds: Int64) throws {
        let (client, server) = (Self.client(Conversation(), .direct), ServerBench())
        client.now.unixSeconds += seconds
        #expect(try Self.connect(client, server, Conversation(), through: .direct))
    }

    @Test("Clocks that differ by more", arguments: [-120, 120, 86_400] as [Int64])
    func clocksDifferTooMuch(_ seconds: Int64) throws {
        let (client, server) = (Self.client(Conversation(), .direct), ServerBench())
        client.now.unixSeconds += seconds
        #expect(try !Self.connect(client, server, Conversation(), through: .direct))
        #expect(server.engine.counters[.synWithWrongCode] == 1)
    }

    @Test("A client that does not know of its NAT gets no answer") func unknownNAT() throws {
        let (client, server) = (Self.client(Conversation(), .direct), ServerBench())
        #expect(try !Self.connect(client, server, Conversation(), through: .nat))
        #expect(server.engine.counters[.synWithWrongCode] == 1)
    }

    @Test("A client without the daemon gets no answer, and is not locked out") func ordinaryClient() throws {
        let server = ServerBench()
        #expect(server.receive(Conversation().plainSYN) == Verdict(.drop, .synWithoutCode))
        #expect(try Self.connect(Self.client(Conversation(), .direct), server, Conversation(), through: .direct))
    }

    @Test("The client's daemon is started again between SYN and SYN/ACK", arguments: Conversation.kinds)
    func clientRestarts(_ conversation: Conversation) throws {
        let server = ServerBench()
        _ = server.receive(Self.client(conversation, .direct).send(conversation.plainSYN).bytes)
        let synAck = server.send(conversation.synAck()).bytes
        let seen = try ParsedPacket(Self.client(conversation, .direct).receive(synAck).bytes).sequenceNumber
        #expect(server.receive(conversation.acknowledging(seen &+ 1)).action == .acceptAsVerified)
    }

    @Test("The server's daemon is started again in a handshake: it fails closed, and the next one works")
    func serverRestarts() throws {
        let (client, server) = (Self.client(Conversation(), .direct), ServerBench())
        server.answer(Conversation())
        let restarted = ServerBench()
        #expect(restarted.receive(Conversation().thirdACK) == Verdict(.drop, .segmentWithoutHandshake))
        #expect(restarted.send(Conversation().synAck()).verdict == Verdict(.drop, .synAckWithoutHandshake))
        let next = Conversation().with { $0.clientISN = 1 }
        #expect(try Self.connect(client, restarted, next, through: .direct))
    }
}
