// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

/// A packet as it was on a wire, and what is in it.
struct LiteralPacket: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let expected: ParsedPacket
    /// The bits that stand under the TCP checksum: the addresses and the segment.
    var checksummedBytes: Set<Int> {
        let addresses = expected.family == .ipv4 ? Set(12..<20) : Set(8..<40)
        return addresses.union(expected.transportOffset..<bytes.count)
    }

    var testDescription: String { name }

    static let all = [
        ipv4SYN, ipv4WithOptions, ipv4FastOpenSYN, ipv4FIN, ipv6SYN, ipv6SYNACK, ipv6ExtensionHeaders,
        ipv6AtomicFragment,
    ]

    /// What Linux sends for `ssh 192.168.1.20`.
    static let ipv4SYN = LiteralPacket(
        name: "IPv4 SYN of Linux",
        bytes: [UInt8](
            hex: """
                45 00 00 3c    version 4, 5 words; DSCP 0; 60 bytes
                1c 46 40 00    identification 0x1c46; don't fragment
                40 06 9b 07    TTL 64; TCP; header checksum
                c0 a8 01 0a    from 192.168.1.10
                c0 a8 01 14    to 192.168.1.20
                d4 31 00 16    port 54321 to 22
                9f 3b 2c 01    sequence number
                00 00 00 00    no acknowledgment
                a0 02 fa f0    10 words; SYN; window 64240
                9f dc 00 00    checksum; no urgent pointer
                02 04 05 b4    MSS 1460
                04 02          SACK permitted
                08 0a 3a d1 4f 6e 00 00 00 00    timestamps
                01 03 03 07    NOP; window scale 7
                """.withoutComments),
        expected: ParsedPacket(
            family: .ipv4, transportOffset: 20, totalLength: 60, source: IPAddress(192, 168, 1, 10),
            destination: IPAddress(192, 168, 1, 20), identifier: 0x1c46, sourcePort: 54321, destinationPort: 22,
            sequenceNumber: 0x9f3b_2c01, acknowledgmentNumber: 0, flags: .syn, headerLength: 40, checksum: 0x9fdc,
            isComplete: true, hasValidTCPChecksum: true))

    /// Options of IPv4 move the TCP header.
    static let ipv4WithOptions = LiteralPacket(
        name: "IPv4 ACK behind IP options",
        bytes: [UInt8](
            hex: """
                48 b8 00 38    version 4, 8 words; DSCP 46; 56 bytes
                00 01 00 00    identification 1; may be fragmented
                ff 06 b2 ab    TTL 255; TCP; header checksum
                cb 00 71 05    from 203.0.113.5
                c6 33 64 16    to 198.51.100.22
                07 07 04 00 00 00 00 00    record route, one empty slot, end of options
                94 04 00 00    router alert
                ff ff 00 16    port 65535 to 22
                ff ff ff ff    sequence number
                12 34 56 78    acknowledgment number
                50 18 02 00    5 words; PSH and ACK; window 512
                55 43 00 00    checksum; no urgent pointer
                68 69 21 0a    hi!
                """.withoutComments),
        expected: ParsedPacket(
            family: .ipv4, transportOffset: 32, totalLength: 56, source: IPAddress(203, 0, 113, 5),
            destination: IPAddress(198, 51, 100, 22), identifier: 1, sourcePort: 65535, destinationPort: 22,
            sequenceNumber: 0xffff_ffff, acknowledgmentNumber: 0x1234_5678, flags: [.psh, .ack], headerLength: 20,
            checksum: 0x5543, isComplete: true, hasValidTCPChecksum: true))

    /// TCP Fast Open: data in the SYN, an odd number of bytes.
    static let ipv4FastOpenSYN = LiteralPacket(
        name: "IPv4 SYN of TCP Fast Open with data",
        bytes: [UInt8](
            hex: """
                45 00 00 3f    version 4, 5 words; DSCP 0; 63 bytes
                00 00 40 00    identification 0; don't fragment
                40 06 4e 65    TTL 64; TCP; header checksum
                c0 00 02 0a    from 192.0.2.10
                c6 33 64 16    to 198.51.100.22
                9c 40 00 16    port 40000 to 22
                00 00 00 2a    sequence number
                af 00 76 80    acknowledgment field: a code
                90 02 fa f0    9 words; SYN; window 64240
                8d ff 00 00    checksum; no urgent pointer
                22 0a 01 02 03 04 05 06 07 08    fast open cookie
                02 04 05 b4    MSS 1460
                01 00          NOP; end of options
                53 53 48 2d 32 2e 30    SSH-2.0
                """.withoutComments),
        expected: ParsedPacket(
            family: .ipv4, transportOffset: 20, totalLength: 63, source: IPAddress(192, 0, 2, 10),
            destination: IPAddress(198, 51, 100, 22), identifier: 0, sourcePort: 40000, destinationPort: 22,
            sequenceNumber: 42, acknowledgmentNumber: 0xaf00_7680, flags: .syn, headerLength: 36, checksum: 0x8dff,
            isComplete: true, hasValidTCPChecksum: true))

    /// All eight control bits, and the reserved ones beside the data offset.
    static let ipv4FIN = LiteralPacket(
        name: "IPv4 segment with every flag",
        bytes: [UInt8](
            hex: """
                45 00 00 28    version 4, 5 words; DSCP 0; 40 bytes
                ff ff c0 00    identification 65535; reserved bit, don't fragment
                01 06 e4 d1    TTL 1; TCP; header checksum
                0a 00 00 01    from 10.0.0.1
                0a ff ff fe    to 10.255.255.254
                00 01 00 02    port 1 to 2
                80 00 00 00    sequence number
                7f ff ff ff    acknowledgment number
                5f ff 00 00    5 words and all reserved bits; all flags; window 0
                8a e4 ff ff    checksum; urgent pointer
                """.withoutComments),
        expected: ParsedPacket(
            family: .ipv4, transportOffset: 20, totalLength: 40, source: IPAddress(10, 0, 0, 1),
            destination: IPAddress(10, 255, 255, 254), identifier: 0xffff, sourcePort: 1, destinationPort: 2,
            sequenceNumber: 0x8000_0000, acknowledgmentNumber: 0x7fff_ffff,
            flags: [.fin, .syn, .rst, .psh, .ack, .urg, .ece, .cwr], headerLength: 20, checksum: 0x8ae4,
            isComplete: true,
            hasValidTCPChecksum: true))

    /// What Linux sends to open a connection over IPv6.
    static let ipv6SYN = LiteralPacket(
        name: "IPv6 SYN of Linux",
        bytes: [UInt8](
            hex: """
                60 0d 1a 2b    version 6; class 0; flow label 0xd1a2b
                00 28 06 40    40 bytes of payload; TCP; hop limit 64
                20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10    from 2001:db8::10
                20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 22    to 2001:db8::22
                a0 00 00 16    port 40960 to 22
                12 34 56 78    sequence number
                f3 de 51 f2    acknowledgment field: a code
                a0 02 fd 20    10 words; SYN; window 64800
                a0 ba 00 00    checksum; no urgent pointer
                02 04 05 a0    MSS 1440
                04 02          SACK permitted
                08 0a 00 00 00 01 00 00 00 00    timestamps
                01 03 03 07    NOP; window scale 7
                """.withoutComments),
        expected: ParsedPacket(
            family: .ipv6, transportOffset: 40, totalLength: 80,
            source: IPAddress(high: 0x2001_0db8_0000_0000, low: 0x10),
            destination: IPAddress(high: 0x2001_0db8_0000_0000, low: 0x22), identifier: 0xd1a2b, sourcePort: 40960,
            destinationPort: 22, sequenceNumber: 0x1234_5678, acknowledgmentNumber: 0xf3de_51f2, flags: .syn,
            headerLength: 40, checksum: 0xa0ba, isComplete: true, hasValidTCPChecksum: true))

    /// What a Linux server answers; its traffic class borders on the flow label.
    static let ipv6SYNACK = LiteralPacket(
        name: "IPv6 SYN/ACK with a traffic class",
        bytes: [UInt8](
            hex: """
                6f f0 00 01    version 6; class 0xff; flow label 1
                00 18 06 40    24 bytes of payload; TCP; hop limit 64
                fe 80 00 00 00 00 00 00 02 00 5e ff fe 00 53 01    from fe80::200:5eff:fe00:5301
                fe 80 00 00 00 00 00 00 02 00 5e ff fe 00 53 02    to fe80::200:5eff:fe00:5302
                00 16 a0 00    port 22 to 40960
                9a bc de f0    sequence number
                12 34 56 79    acknowledgment number
                60 52 fa f0    6 words; SYN, ACK, ECE; window 64240
                b9 82 00 00    checksum; no urgent pointer
                02 04 05 a0    MSS 1440
                """.withoutComments),
        expected: ParsedPacket(
            family: .ipv6, transportOffset: 40, totalLength: 64,
            source: IPAddress(high: 0xfe80_0000_0000_0000, low: 0x0200_5eff_fe00_5301),
            destination: IPAddress(high: 0xfe80_0000_0000_0000, low: 0x0200_5eff_fe00_5302), identifier: 1,
            sourcePort: 22, destinationPort: 40960, sequenceNumber: 0x9abc_def0, acknowledgmentNumber: 0x1234_5679,
            flags: [.syn, .ack, .ece], headerLength: 24, checksum: 0xb982, isComplete: true, hasValidTCPChecksum: true))

    /// The extension headers that may stand before TCP, each once.
    static let ipv6ExtensionHeaders = LiteralPacket(
        name: "IPv6 SYN behind extension headers",
        bytes: [UInt8](
            hex: """
                60 00 00 00    version 6; class 0; flow label 0
                00 50 00 40    80 bytes of payload; hop-by-hop options; hop limit 64
                20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 01    from 2001:db8:1::1
                20 01 0d b8 00 02 00 00 00 00 00 00 00 00 00 02    to 2001:db8:2::2
                3c 00 05 02 00 00 01 00    next destination options; 8 bytes; router alert, padding
                2b 01 01 0c 00 00 00 00    next routing; 16 bytes; padding
                00 00 00 00 00 00 00 00    still padding
                33 00 04 00 00 00 00 00    next authentication; 8 bytes; type 4; no segments left
                06 04 00 00 00 00 01 00    next TCP; 24 bytes; security parameters index
                00 00 00 01 aa bb cc dd ee ff 00 11 22 33 44 55    sequence number; integrity check value
                04 d2 00 16    port 1234 to 22
                00 00 00 01    sequence number
                00 00 00 00    no acknowledgment
                60 02 20 00    6 words; SYN; window 8192
                17 da 00 00    checksum; no urgent pointer
                02 04 05 a0    MSS 1440
                """.withoutComments),
        expected: ParsedPacket(
            family: .ipv6, transportOffset: 96, totalLength: 120,
            source: IPAddress(high: 0x2001_0db8_0001_0000, low: 1),
            destination: IPAddress(high: 0x2001_0db8_0002_0000, low: 2), identifier: 0, sourcePort: 1234,
            destinationPort: 22, sequenceNumber: 1, acknowledgmentNumber: 0, flags: .syn, headerLength: 24,
            checksum: 0x17da,
            isComplete: true, hasValidTCPChecksum: true))

    /// A fragment header on a whole packet (RFC 6946): nothing is missing, so it is judged like any other.
    static let ipv6AtomicFragment = LiteralPacket(
        name: "IPv6 SYN behind an atomic fragment header",
        bytes: [UInt8](
            hex: """
                60 0f ff ff    version 6; class 0; flow label 0xfffff
                00 1c 2c 40    28 bytes of payload; fragment; hop limit 64
                20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10    from 2001:db8::10
                20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 22    to 2001:db8::22
                06 00 00 00 de ad be ef    next TCP; reserved; offset 0, no more; identification
                a0 00 00 16    port 40960 to 22
                12 34 56 78    sequence number
                00 00 00 00    no acknowledgment
                50 02 fd 20    5 words; SYN; window 64800
                4e 5b 00 00    checksum; no urgent pointer
                """.withoutComments),
        expected: ParsedPacket(
            family: .ipv6, transportOffset: 48, totalLength: 68,
            source: IPAddress(high: 0x2001_0db8_0000_0000, low: 0x10),
            destination: IPAddress(high: 0x2001_0db8_0000_0000, low: 0x22), identifier: 0xfffff, sourcePort: 40960,
            destinationPort: 22, sequenceNumber: 0x1234_5678, acknowledgmentNumber: 0, flags: .syn, headerLength: 20,
            checksum: 0x4e5b, isComplete: true, hasValidTCPChecksum: true))
}

extension String {
    /// Each line up to the first run of four spaces: bytes stand before it, words behind it.
    var withoutComments: String {
        split(separator: "\n").map { $0.split(separator: "    ", omittingEmptySubsequences: false)[0] }
            .joined(separator: "\n")
    }
}
