// SPDX-License-Identifier: GPL-2.0-or-later
import Diagnosis
import TestSupport
import Testing
import Wire

@Suite struct ICMPQuoteTests {
    static let router = IPAddress(203, 0, 113, 1)
    static let router6 = IPAddress(high: 0x2001_0db8_0000_0009, low: 1)

    /// An ICMP error of a router about a packet.
    static func error(_ family: IPFamily, type: UInt8, code: UInt8 = 0, about quote: [UInt8]) -> [UInt8] {
        let message = [type, code, 0, 0, 0, 0, 0, 0] + quote
        switch family {
        case .ipv4:
            let header: [UInt8] = [0x45, 0] + UInt16(20 + message.count).networkBytes + [0, 0, 0, 0, 64, 1, 0, 0]
            return header + [203, 0, 113, 1, 192, 0, 2, 10] + message
        case .ipv6:
            let header = UInt32(0x6000_0000).networkBytes + UInt16(message.count).networkBytes + [58, 64]
            let client = Conversation(family: .ipv6).client
            return header + router6.high.networkBytes + router6.low.networkBytes
                + client.high.networkBytes + client.low.networkBytes + message
        }
    }

    private static func read(_ bytes: [UInt8]) -> ICMPQuote? { ICMPQuote(bytes.span) }

    @Test("What a router quotes", arguments: IPFamily.allCases)
    func timeExceeded(_ family: IPFamily) throws {
        let it = Conversation(family: family)
        let syn = it.syn(code: 0x0bad_cafe, identifier: 0x4711)
        let bytes = Self.error(family, type: family == .ipv4 ? 11 : 3, about: syn)
        let quote = try #require(Self.read(bytes))
        #expect(quote.kind == .timeExceeded)
        #expect(quote.reporter == (family == .ipv4 ? Self.router : Self.router6))
        #expect((quote.source, quote.destination) == (it.client, it.server))
        #expect((quote.sourcePort, quote.destinationPort) == (40_000, 22))
        #expect(quote.sequenceNumber == Conversation.clientISN)
        #expect(quote.acknowledgmentNumber == 0x0bad_cafe)
        #expect(quote.identifier == 0x4711)
    }

    @Test("Old routers quote eight bytes of TCP", arguments: IPFamily.allCases)
    func shortQuote(_ family: IPFamily) throws {
        let headerLength = family == .ipv4 ? 20 : 40
        let syn = Conversation(family: family).syn
        let type: UInt8 = family == .ipv4 ? 3 : 1
        let short = Self.error(family, type: type, code: 13, about: Array(syn.prefix(headerLength + 8)))
        let quote = try #require(Self.read(short))
        #expect(quote.kind == .unreachable(code: 13))
        #expect(quote.sequenceNumber == Conversation.clientISN)
        #expect(quote.acknowledgmentNumber == nil)
        let tooShort = Self.error(family, type: type, about: Array(syn.prefix(headerLength + 7)))
        #expect(Self.read(tooShort) == nil)
    }

    @Test("What is no error about TCP", arguments: IPFamily.allCases)
    func others(_ family: IPFamily) {
        let syn = Conversation(family: family).syn
        #expect(Self.read(syn) == nil)
        #expect(Self.read(Self.error(family, type: family == .ipv4 ? 8 : 128, about: syn)) == nil)
        var udp = syn
        udp[family == .ipv4 ? 9 : 6] = 17
        #expect(Self.read(Self.error(family, type: family == .ipv4 ? 11 : 3, about: udp)) == nil)
    }

    @Test("No beginning of it and no flipped byte traps", arguments: IPFamily.allCases)
    func robustness(_ family: IPFamily) {
        let whole = Self.error(family, type: family == .ipv4 ? 11 : 3, about: Conversation(family: family).syn)
        for count in 0..<whole.count { _ = Self.read(Array(whole.prefix(count))) }
        for index in whole.indices {
            for value in [0, 1, 0x0f, 0x46, 0x60, 0xff] as [UInt8] {
                var changed = whole
                changed[index] = value
                _ = Self.read(changed)
            }
        }
    }
}
