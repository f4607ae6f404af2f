// SPDX-License-Identifier: GPL-2.0-or-later
import Capture
import Diagnosis
import Linux
import SystemPackage
import TestSupport
import Testing
import Wire

@Suite struct CaptureFileTests {
    private let folder: TemporaryFolder
    private let ethernet = [UInt8](repeating: 2, count: 12) + [0x08, 0x00]

    init() throws { folder = try TemporaryFolder() }

    /// A file of the old format (pcap-savefile(5)), written by a host of this byte order.
    private func pcap(
        _ packets: [[UInt8]], link: UInt32 = 1, magic: UInt32 = 0xa1b2_c3d4, fraction: UInt32 = 500_000
    ) -> [UInt8] {
        func words(_ values: UInt32...) -> [UInt8] { values.flatMap(\.networkBytes) }
        var file = words(magic) + [0, 2, 0, 4] as [UInt8]
        file += words(0, 0, 65_535, link)
        for packet in packets {
            let length = UInt32(packet.count)
            file += words(1_710_000_000, fraction, length, length) + packet
        }
        return file
    }

    /// A file of the new format: a section header, an interface, and a packet a block
    /// (draft-ietf-opsawg-pcapng), in network byte order.
    private func pcapng(_ packets: [[UInt8]]) -> [UInt8] {
        func block(_ type: UInt32, _ body: [UInt8]) -> [UInt8] {
            let length = UInt32(12 + body.count).networkBytes
            return type.networkBytes + length + body + length
        }
        let section = block(0x0a0d_0d0a, UInt32(0x1a2b_3c4d).networkBytes + [0, 1, 0, 0] + UInt64.max.networkBytes)
        let interface = block(1, [0, 1, 0, 0] + UInt32(65_535).networkBytes)
        let time = UInt64(1_710_000_000_500_000).networkBytes
        return section + interface
            + packets.flatMap { packet in
                let length = UInt32(packet.count).networkBytes
                let padding = [UInt8](repeating: 0, count: (4 - packet.count % 4) % 4)
                return block(6, UInt32(0).networkBytes + time + length + length + packet + padding)
            }
    }

    private func read(_ content: [UInt8]) throws -> (times: [CaptureTime], packets: [[UInt8]], others: Int) {
        let path = try folder.write("capture", content).string
        var (times, packets): ([CaptureTime], [[UInt8]]) = ([], [])
        let others = try CaptureFile.read(path) { bytes, time in
            times.append(time)
            packets.append((0..<bytes.count).map { bytes[$0] })
        }
        return (times, packets, others)
    }

    @Test func formats() throws {
        let packet = TestPacket().bytes
        let frame = ethernet + packet
        let arp = [UInt8](repeating: 2, count: 12) + [0x08, 0x06] + packet
        let half = CaptureTime(seconds: 1_710_000_000, nanoseconds: 500_000_000)
        for content in [
            pcap([frame, arp, frame]), pcap([frame, arp, frame], magic: 0xa1b2_3c4d, fraction: 500_000_000),
            pcapng([frame, arp, frame]),
        ] {
            let (times, packets, others) = try read(content)
            #expect(packets == [packet, packet])
            #expect(times == [half, half])
            #expect(others == 1)
        }
        #expect(try read(pcap([packet], link: 101)).packets == [packet])
        #expect(try read(pcap([])).packets.isEmpty)
    }

    private func error(_ content: [UInt8]) -> FatalError? {
        do {
            _ = try read(content)
            return nil
        } catch {
            return error as? FatalError
        }
    }

    @Test func whatIsNoCapture() throws {
        for content in [[], Array("no capture at all, but text".utf8)] as [[UInt8]] {
            let reason = try #require(error(content))
            #expect(reason.status == .wrongData && reason.finding.contains("no capture file"))
        }
        #expect(error(Array(pcap([ethernet + TestPacket().bytes]).dropLast(3)))?.status == .wrongData)
        let unknown = try #require(error(pcap([], link: 127)))
        #expect(unknown.status == .wrongData && unknown.finding.contains("'IEEE802_11_RADIO'"))
        #expect(throws: FatalError("No such file or directory", at: "/nonexistent/file", status: .noInput)) {
            _ = try CaptureFile.read("/nonexistent/file") { _, _ in }
        }
    }

    @Test("What came before the damage is handed on")
    func damagedAtTheEnd() throws {
        let frame = ethernet + TestPacket().bytes
        let path = try folder.write("cut", Array(pcap([frame, frame]).dropLast(5))).string
        var count = 0
        #expect(throws: FatalError.self) { _ = try CaptureFile.read(path) { _, _ in count += 1 } }
        #expect(count == 1)
    }
}
