// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@testable import Netfilter

@Suite("Sockets that sign their segments") struct SignedSocketTests {
    /// A message: headers of netlink and inet_diag, then attributes.
    private func message(state: UInt8, _ attributes: [UInt8]) -> [UInt8] {
        [UInt8](repeating: 0, count: 16) + [2, state, 0, 0, 0, 179, 1, 2] + [UInt8](repeating: 0, count: 64)
            + attributes
    }

    private func read(_ bytes: [UInt8]) -> SignedSocket? { SignedSocket(bytes.span) }

    private func attribute(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
        [UInt8(value.count + 4), 0, type, 0] + value
    }

    @Test func peers() throws {
        let key = [UInt8](repeating: 7, count: 80)
        let ipv4: [UInt8] = [2, 24, 80, 0, 192, 0, 2, 0] + [UInt8](repeating: 0, count: 12) + key
        let ipv6: [UInt8] = [10, 128, 80, 0, 0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [7] + key
        let found = read(message(state: 10, attribute(5, [1, 0, 0, 0]) + attribute(18, ipv4 + ipv6)))
        let peers = [IPPrefix("192.0.2.0/24"), IPPrefix("2001:db8::7")].compactMap(\.self)
        #expect(found == SignedSocket(localPort: 179, remotePort: 258, isListening: true, peers: peers))
        #expect(read(message(state: 2, attribute(18, ipv4)))?.isListening == false)
        // A part of one, and a length that no prefix has.
        #expect(read(message(state: 10, attribute(18, Array(ipv4.dropLast())))) == nil)
        #expect(read(message(state: 10, attribute(18, [2, 33] + ipv4.dropFirst(2)))) == nil)
        #expect(read(message(state: 10, [])) == nil)
        #expect(read([1, 2, 3]) == nil)
    }

    @Test("Noise never traps") func noise() {
        var generator = SeededGenerator("signed sockets")
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0...300, using: &generator)).map { _ in
                UInt8.random(in: 0...30, using: &generator)
            }
            _ = read(message(state: 10, bytes))
            _ = read(bytes)
        }
    }

    @Test("The kernel can be asked") func live() throws {
        _ = try SignedSocket.all()
    }
}
