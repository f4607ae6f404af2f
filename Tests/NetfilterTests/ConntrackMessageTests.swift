// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@testable import Netfilter

/// Messages of the kernel as bytes, after linux/netlink.h and linux/netfilter/nfnetlink_conntrack.h.
@Suite("Messages about tracked connections") struct ConntrackMessageTests {
    private static func native(_ value: UInt16) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
    private static func native(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

    private static func attribute(_ type: UInt16, _ value: [UInt8]) -> [UInt8] {
        native(UInt16(4 + value.count)) + native(type) + value + [UInt8](repeating: 0, count: -value.count & 3)
    }

    private static func nested(_ type: UInt16, _ attributes: [UInt8]...) -> [UInt8] {
        attribute(type | 0x8000, Array(attributes.joined()))
    }

    private static func message(_ attributes: [UInt8], type: UInt16 = 0x102, family: UInt8 = 2) -> [UInt8] {
        native(UInt32(20 + attributes.count)) + native(type) + native(UInt16(0)) + native(UInt32(0))
            + native(UInt32(0)) + [family, 0, 0, 0] + attributes
    }

    private static func tuple(
        _ type: UInt16, _ source: [UInt8], _ destination: [UInt8], _ ports: [UInt16], _ number: UInt8 = 6
    )
        -> [UInt8]
    {
        let first: UInt16 = source.count == 4 ? 1 : 3
        return nested(
            type, nested(1, attribute(first, source), attribute(first + 1, destination)),
            nested(
                2, attribute(1, [number]), attribute(2, ports[0].networkBytes), attribute(3, ports[1].networkBytes)))
    }

    private static let ipv4 = message(
        tuple(1, [192, 0, 2, 1], [198, 51, 100, 2], [40_000, 22])
            + tuple(2, [198, 51, 100, 2], [203, 0, 113, 3], [22, 50_000])
            + attribute(8, UInt32(0x1234).networkBytes) + attribute(12, UInt32(0xdead_beef).networkBytes)
            + nested(9, attribute(1, UInt64(3).networkBytes), attribute(2, UInt64(5_000_000_000).networkBytes))
            + nested(10, attribute(1, UInt64(2).networkBytes), attribute(2, UInt64.max.networkBytes))
            + nested(4, nested(1, attribute(1, [8]))))

    private static func take(_ bytes: [UInt8]) -> (ConntrackEvents.Batch, [TrackedConnection]) {
        var batch = ConntrackEvents.Batch()
        var connections: [TrackedConnection] = []
        bytes.withUnsafeBytes { ConntrackEvents.take($0, &batch, &connections) }
        return (batch, connections)
    }

    @Test("All that is known is read") func everything() throws {
        let (batch, connections) = Self.take(Self.ipv4)
        #expect(batch.connections == 1 && batch.messages == 1 && batch.malformedMessages == 0)
        let connection = try #require(connections.first)
        #expect(
            connection.flow
                == Flow(
                    clientAddress: IPAddress(192, 0, 2, 1), clientPort: 40_000,
                    serverAddress: IPAddress(198, 51, 100, 2), serverPort: 22))
        #expect(
            connection.replyFlow
                == Flow(
                    clientAddress: IPAddress(203, 0, 113, 3), clientPort: 50_000,
                    serverAddress: IPAddress(198, 51, 100, 2), serverPort: 22))
        #expect(connection.mark == 0x1234)
        #expect(connection.id == 0xdead_beef)
        #expect(connection.originalBytes == 5_000_000_000)
        #expect(connection.replyBytes == .max)
        #expect(connection.state == .close)
    }

    @Test("What the kernel does not say is not made up") func least() throws {
        let address: [UInt8] = [0x20, 1, 0xd, 0xb8] + [UInt8](repeating: 0, count: 11) + [1]
        let (batch, connections) = Self.take(
            Self.message(Self.tuple(1, address, address.dropLast() + [2], [1, 65_535]), family: 10))
        #expect(batch.connections == 1)
        let connection = try #require(connections.first)
        #expect(connection.flow.clientAddress == IPAddress(high: 0x2001_0db8 << 32, low: 1))
        #expect(connection.flow.serverAddress == IPAddress(high: 0x2001_0db8 << 32, low: 2))
        #expect(connection.flow.serverPort == 65_535)
        #expect(connection.mark == 0)
        #expect(connection.replyFlow == nil && connection.state == nil && connection.id == nil)
        #expect(connection.originalBytes == nil && connection.replyBytes == nil)
    }

    @Test("Several messages in a datagram") func several() {
        let (batch, connections) = Self.take(Self.ipv4 + Self.ipv4 + Self.message([], type: 0x100) + Self.ipv4)
        #expect(connections.count == 3)
        #expect(batch.messages == 4 && batch.connections == 3 && batch.malformedMessages == 1)
    }

    @Test("Other protocols, and messages without ends, are passed over")
    func passedOver() {
        let address: [UInt8] = [192, 0, 2, 1]
        for attributes in [[], Self.tuple(1, address, address, [1, 2], 17), Self.nested(1), Self.attribute(1, [])] {
            #expect(Self.take(Self.message(attributes)).1.isEmpty)
        }
        // Without the header of netfilter.
        #expect(
            Self.take(Array(Self.native(UInt32(16)) + Self.native(UInt16(0x102)) + [UInt8](repeating: 0, count: 10))).1
                .isEmpty)
    }

    @Test("Whatever is cut off or changed, nothing traps")
    func damage() {
        for count in 0..<Self.ipv4.count { _ = Self.take(Array(Self.ipv4.prefix(count))) }
        // With the length in the header made to fit.
        for count in 20..<Self.ipv4.count {
            _ = Self.take(Array(Self.native(UInt32(count)) + Self.ipv4[4..<count]))
        }
        var generator = SeededGenerator("ConntrackMessageTests.damage")
        var survivors = 0
        for _ in 0..<50_000 {
            var bytes = Self.ipv4
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 16..<bytes.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            survivors += Self.take(bytes).1.count
        }
        // So that it is not all thrown away at the first look.
        #expect(survivors > 5000)
    }

    @Test("A length that is not that of the datagram", arguments: [0, 1, 15, 1 << 31, 1 << 31 + 16, .max - 3, .max])
    func lengths(_ length: UInt32) {
        #expect(Self.take(Array(Self.native(length) + Self.ipv4[4...])).1.isEmpty)
    }
}
