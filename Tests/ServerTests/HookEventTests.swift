// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import TestSupport
import Testing
import Wire

@testable import Server

@Suite struct HookEventTests {
    @Test func names() {
        #expect(HookEvent.allCases.map(\.rawValue) == ["admit", "close", "lockout", "knock"])
    }

    @Test("What is not known is not set")
    func least() {
        let details = HookDetails(.knocked, flow(), unixSeconds: 0)
        #expect(
            details.environment == [
                "TCPKNOCK_EVENT": "knock", "TCPKNOCK_TIME": "1970-01-01T00:00:00Z",
                "TCPKNOCK_CLIENT_ADDRESS": "192.0.2.10", "TCPKNOCK_CLIENT_PORT": "40000",
                "TCPKNOCK_SERVER_ADDRESS": "198.51.100.22", "TCPKNOCK_SERVER_PORT": "22", "TCPKNOCK_FAMILY": "4",
            ])
    }

    @Test("Everything that can be known")
    func most() {
        let flow = Flow(
            clientAddress: IPAddress(high: 0x2001_0db8 << 32, low: 1), clientPort: 65_535,
            serverAddress: IPAddress(high: 0x2001_0db8 << 32, low: 2), serverPort: 1)
        var details = HookDetails(.closed, flow, unixSeconds: 1_800_000_000)
        details.guest = "alice"
        details.reason = "wrong-acknowledgment"
        details.seconds = .max
        details.bytesReceived = 0
        details.bytesSent = 1
        let environment = details.environment
        #expect(environment.count == 12)
        #expect(environment["TCPKNOCK_FAMILY"] == "6")
        #expect(environment["TCPKNOCK_CLIENT_ADDRESS"] == "2001:db8::1")
        #expect(environment["TCPKNOCK_TIME"] == "2027-01-15T08:00:00Z")
        #expect(environment["TCPKNOCK_GUEST"] == "alice")
        #expect(environment["TCPKNOCK_REASON"] == "wrong-acknowledgment")
        #expect(environment["TCPKNOCK_SECONDS"] == "18446744073709551615")
        #expect(environment["TCPKNOCK_BYTES_RECEIVED"] == "0")
        #expect(environment["TCPKNOCK_BYTES_SENT"] == "1")
    }

    @Test("Times that no calendar has are no error", arguments: [Int64.min, .max])
    func oddTimes(_ seconds: Int64) {
        #expect(HookDetails(.admitted, flow(), unixSeconds: seconds).environment["TCPKNOCK_TIME"] == "")
    }
}
