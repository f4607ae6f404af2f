// SPDX-License-Identifier: GPL-2.0-or-later
import Capture
import TestSupport
import Testing

@Suite struct LinkLayerTests {
    static let addresses = [UInt8](repeating: 2, count: 12)
    static let ipv4: [UInt8] = [0x45, 0, 0, 20]
    static let ipv6: [UInt8] = [0x60, 0, 0, 0]

    @Test("Where the IP header begins")
    func offsets() {
        let cooked = [UInt8](repeating: 0, count: 14)
        let cooked2 = [UInt8](repeating: 0, count: 18)
        let cases: [(LinkLayer, [UInt8], Int?)] = [
            (.raw, Self.ipv4, 0), (.raw, Self.ipv6, 0), (.ipv4, Self.ipv4, 0), (.ipv6, Self.ipv6, 0),
            (.null, [2, 0, 0, 0] + Self.ipv4, 4), (.loop, [0, 0, 0, 2] + Self.ipv4, 4),
            (.ethernet, Self.addresses + [0x08, 0x00] + Self.ipv4, 14),
            (.ethernet, Self.addresses + [0x86, 0xdd] + Self.ipv6, 14),
            (.ethernet, Self.addresses + [0x81, 0x00, 0, 5, 0x08, 0x00] + Self.ipv4, 18),
            (.ethernet, Self.addresses + [0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6, 0x86, 0xdd] + Self.ipv6, 22),
            (.linuxCooked, cooked + [0x08, 0x00] + Self.ipv4, 16),
            (.linuxCooked, cooked + [0x81, 0x00, 0, 5, 0x08, 0x00] + Self.ipv4, 20),
            (.linuxCooked2, [0x86, 0xdd] + cooked2 + Self.ipv6, 20),
            (.ethernet, Self.addresses + [0x08, 0x06] + Self.ipv4, nil),
            (.ethernet, Self.addresses + [0x08, 0x00], nil), (.ethernet, Self.addresses, nil),
            (.ethernet, Self.addresses + [0x08, 0x00, 0x35, 0, 0, 20], nil), (.raw, [], nil),
            (.linuxCooked2, [0x86, 0xdd], nil),
            (.ethernet, Self.addresses + (0..<6).flatMap { _ in [0x81, 0, 0, 5] as [UInt8] } + [8, 0, 0x45], nil),
        ]
        for (link, frame, offset) in cases {
            #expect(link.ipOffset(in: frame.span) == offset, "\(link) \(frame.hex)")
        }
    }

    @Test("No beginning of a frame traps", arguments: LinkLayer.allCases)
    func robustness(_ link: LinkLayer) {
        var generator = SeededGenerator("LinkLayerTests.robustness")
        for count in 0..<60 {
            for _ in 0..<20 {
                var frame = generator.bytes(count)
                if count > 20 { frame.replaceSubrange(12..<16, with: [0x81, 0x00, 0x81, 0x00]) }
                if let offset = link.ipOffset(in: frame.span) { #expect(offset < count) }
            }
        }
    }
}
