// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import Linux
package import Wire

/// The details of an event, passed to a hook in environment variables.
///
/// | variable | meaning |
/// |---|---|
/// | `TCPKNOCK_EVENT` | `admit`, `close`, `lockout`, `knock` |
/// | `TCPKNOCK_TIME` | the time, in UTC (RFC 3339) |
/// | `TCPKNOCK_GUEST` | the name of the guest whose key was used |
/// | `TCPKNOCK_CLIENT_ADDRESS`, `TCPKNOCK_CLIENT_PORT` | the client's end |
/// | `TCPKNOCK_SERVER_ADDRESS`, `TCPKNOCK_SERVER_PORT` | the server's end |
/// | `TCPKNOCK_FAMILY` | `4` or `6` |
/// | `TCPKNOCK_REASON` | the reason, by the names that `tcpknock reasons` lists |
/// | `TCPKNOCK_SECONDS` | the duration of the closed connection or of the lockout |
/// | `TCPKNOCK_BYTES_RECEIVED`, `TCPKNOCK_BYTES_SENT` | bytes that the server received and sent, with IP headers |
///
/// Variables whose value is unknown are not set.
package struct HookDetails: Equatable, Sendable {
    /// The event.
    package var event: HookEvent
    /// The addresses and ports of the connection.
    package var flow: Flow
    /// The time of the event, in seconds since 1970.
    package var unixSeconds: Int64
    /// The name of the guest.
    package var guest: String?
    /// The reason, as a word for scripts.
    package var reason: String?
    /// The duration of the connection, or of the lockout.
    package var seconds: UInt64?
    /// The number of bytes received from the client.
    package var bytesReceived: UInt64?
    /// The number of bytes sent to the client.
    package var bytesSent: UInt64?

    /// Creates details with what is always known.
    ///
    /// The other properties can be set later.
    package init(_ event: HookEvent, _ flow: Flow, unixSeconds: Int64) {
        self.event = event
        self.flow = flow
        self.unixSeconds = unixSeconds
    }

    /// The environment variables.
    package var environment: [String: String] {
        var variables = [
            "TCPKNOCK_EVENT": event.rawValue,
            "TCPKNOCK_TIME": SystemClock.timestamp(unixSeconds: unixSeconds),
            "TCPKNOCK_CLIENT_ADDRESS": "\(flow.clientAddress)",
            "TCPKNOCK_CLIENT_PORT": "\(flow.clientPort)",
            "TCPKNOCK_SERVER_ADDRESS": "\(flow.serverAddress)",
            "TCPKNOCK_SERVER_PORT": "\(flow.serverPort)",
            "TCPKNOCK_FAMILY": "\(flow.clientAddress.family.rawValue)",
        ]
        variables["TCPKNOCK_GUEST"] = guest
        variables["TCPKNOCK_REASON"] = reason
        variables["TCPKNOCK_SECONDS"] = seconds.map { "\($0)" }
        variables["TCPKNOCK_BYTES_RECEIVED"] = bytesReceived.map { "\($0)" }
        variables["TCPKNOCK_BYTES_SENT"] = bytesSent.map { "\($0)" }
        return variables
    }
}
