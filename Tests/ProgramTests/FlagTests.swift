// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Program
import Settings
import Testing
import Wire

@Suite("Values of flags") struct FlagTests {
    /// What no flag takes for a number; the firewall scripts refuse these too.
    static let noNumbers = [
        "", " ", "abc", "-1", "-0", "+22", "22 ", " 22", "2 2", "22.0", "2e1", "0x16", "٢٢", "22\n", "1:",
    ]

    /// A value as messages have it: without what acts on a terminal.
    private func shown(_ text: String) -> String { text.replacing("\n", with: "?") }

    private static func message(_ parse: () throws -> some Any) -> String? {
        do {
            _ = try parse()
            return nil
        } catch {
            return (error as? ValidationError)?.message
        }
    }

    @Test("Ports", arguments: [("1", 1), ("22", 22), ("65535", 65535)] as [(String, UInt16)])
    func port(_ text: String, _ port: UInt16) throws {
        #expect(try ValueKind.port.argument(text) == port)
    }

    @Test("What is no port", arguments: noNumbers + ["0", "65536", "70000", "99999999999999999999"])
    func noPort(_ text: String) throws {
        let message = try #require(Self.message { try ValueKind.port.argument(text) })
        #expect(message == "'\(shown(text))' is not a TCP port: give a number from 1 to 65535")
    }

    @Test("Queue numbers", arguments: [("0", 0), ("100", 100), ("65535", 65535)] as [(String, UInt16)])
    func queueNumber(_ text: String, _ number: UInt16) throws {
        #expect(try ValueKind.queue.argument(text) == number)
    }

    @Test("What is no queue number", arguments: noNumbers + ["65536", "70000"])
    func noQueueNumber(_ text: String) throws {
        let message = try #require(Self.message { try ValueKind.queue.argument(text) })
        #expect(message == "'\(shown(text))' is not a queue number: give a number from 0 to 65535")
    }

    @Test(
        "Ranges of queues",
        arguments: [
            ("0", 0...0), ("100", 100...100), ("100:100", 100...100), ("100:103", 100...103), ("0:63", 0...63),
            ("65535", 65535...65535), ("65472:65535", 65472...65535),
        ] as [(String, ClosedRange<UInt16>)])
    func queueRange(_ text: String, _ range: ClosedRange<UInt16>) throws {
        #expect(try ValueKind.queues.argument(text) == range)
    }

    @Test(
        "What is no range of queues",
        arguments: noNumbers + [
            ":", ":1", "1::2", "1:2:3", "2:1", "0:64", "0:65535", "1-2", "65535:65536", "1:+2",
        ])
    func noQueueRange(_ text: String) throws {
        let message = try #require(Self.message { try ValueKind.queues.argument(text) })
        #expect(message.contains("'\(shown(text))' is not a queue number or range"))
        #expect(message.contains("100:103"))
    }

    @Test(
        "Mark bits",
        arguments: [
            ("1", 1), ("0x1", 1), ("4096", 0x1000), ("0x1000", 0x1000), ("0X1000", 0x1000), ("0x80000000", 0x8000_0000),
            ("2147483648", 0x8000_0000), ("0x00001000", 0x1000),
        ] as [(String, UInt32)])
    func markBit(_ text: String, _ bit: UInt32) throws {
        #expect(try ValueKind.markBit.argument(text) == bit)
    }

    @Test(
        "What is not a mark bit",
        arguments: [
            "", "0", "0x0", "3", "0x3", "0x1001", "0x", "x1", "-1", "0x100000000", "4294967296", "0x10/0x10", "abc",
            "0xg", "+1",
            "0x+1", "0x-1", " 1",
        ])
    func noMarkBit(_ text: String) throws {
        let message = try #require(Self.message { try ValueKind.markBit.argument(text) })
        #expect(message.contains("'\(text)' is not a mark bit"))
        #expect(message.contains("0x1000"))
    }

    @Test func defaultMarkBit() {
        #expect(ServerSettings().mark == 0x1000)
    }

    @Test func addresses() throws {
        #expect(try ValueKind.address.argument("192.0.2.7") == IPAddress(192, 0, 2, 7))
        #expect(try ValueKind.prefix.argument("192.0.2.7/24") == IPPrefix(IPAddress(192, 0, 2, 0), length: 24))
    }

    @Test("What is no address", arguments: ["", "host", "192.0.2.7/24", "1.2.3.4.5"])
    func noAddress(_ text: String) throws {
        let message = try #require(Self.message { try ValueKind.address.argument(text) })
        #expect(message.contains("'\(text)' is not an IP address"))
    }

    @Test("What is no address or prefix", arguments: ["", "host", "192.0.2.7/33", "::/129"])
    func noPrefix(_ text: String) throws {
        let message = try #require(Self.message { try ValueKind.prefix.argument(text) })
        #expect(message.contains("'\(text)' is not an IP address or prefix"))
    }
}
