// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing

@testable import Doctor

@Suite("Tables of /proc") struct ProcTableTests {
    @Test func netlinkSockets() {
        let text = """
            sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
            00000000e625fdda 0   27889      00000000 0        0        0     2        0        1
            00000000e625fddb 12  27889      00000000 0        0        0     2        0        4763890
            00000000e625fddc 12  5
            00000000e625fddd 12  6          00000000 0        0        0     2        0        many
            """
        #expect(NetlinkOwner.inode(ofPort: 27889, in: text) == 4_763_890)
        #expect(NetlinkOwner.inode(ofPort: 5, in: text) == nil)
        #expect(NetlinkOwner.inode(ofPort: 6, in: text) == nil)
        #expect(NetlinkOwner.inode(ofPort: 7, in: "") == nil)
    }

    @Test(
        "Sockets that listen",
        arguments: [
            ("0100007F:0016", 22, true), ("00000000:0016", 22, false), ("0101007F:01BB", 443, true),
            ("00000000000000000000000001000000:0016", 22, true), ("00000000000000000000000000000000:0016", 22, false),
            ("0000000000000000FFFF00000100007F:0016", 22, true), ("0000000000000000FFFF000001020304:0016", 22, false),
        ] as [(String, UInt16, Bool)])
    func sockets(_ address: String, _ port: UInt16, _ isLoopback: Bool) {
        // The order of the bytes is that of the processor; this is the one of all that Swift runs on.
        let header =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        let rest = "00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21219 1"
        #expect(
            ListeningSocket.parse(header + "   0: \(address) \(rest)\n")
                == [ListeningSocket(port: port, isLoopback: isLoopback)])
    }

    @Test(
        "Lines that are no socket that listens",
        arguments: [
            "", "0: 00000000:0016 00000000:0000 01", "0: 00000000 00000000:0000 0A", "0: 00000000:XY 0 0A",
            "0: 00000000:FFFFF 0 0A", "0: :: 0 0A", "0A 0A 0A",
        ])
    func noSocket(_ line: String) {
        #expect(ListeningSocket.parse(line).isEmpty)
    }

    @Test("An address that is no number is not loopback") func oddAddress() {
        #expect(ListeningSocket.parse("0: XYZ:0016 0 0A") == [ListeningSocket(port: 22, isLoopback: false)])
    }

    @Test func routes() {
        let header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        let text =
            header + "eth0\t00000000\t0101510A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
            + "eth1\t00000000\t0101510A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
            + "eth0\t00000000\t0101510A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n"
            + "eth2\t0001510A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n" + "eth3\t00000000\n"
            + "eth4\tx\ty\tz\t0\t0\t0\tw\n"
        #expect(RouteTable.defaultInterfaces(text) == ["eth0", "eth1"])
        #expect(RouteTable.defaultInterfaces("").isEmpty)
    }

    @Test("Noise never traps") func noise() {
        var generator = SeededGenerator("tables of /proc")
        let alphabet = Array("0123456789ABCDEFx: \t\n-/".utf8)
        for _ in 0..<2000 {
            let bytes = (0..<200).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            let text = String(decoding: bytes, as: UTF8.self)
            _ = NetlinkOwner.inode(ofPort: 1, in: text)
            _ = ListeningSocket.parse(text)
            _ = RouteTable.defaultInterfaces(text)
        }
    }
}
