// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import Linux
package import Wire

/// What a hook can be run for; the raw value is `TCPKNOCK_EVENT`.
package enum HookEvent: String, CaseIterable, Sendable {
    /// A connection was admitted.
    case admitted = "admit"
    /// An admitted connection has ended.
    case closed = "close"
    /// A client was locked out.
    case lockedOut = "lockout"
    /// A guest without ports has knocked: the hook is all that this does.
    case knocked = "knock"
}

/// What a hook is told about an event, in variables of its environment.
///
/// | variable | what it says |
/// |---|---|
/// | `TCPKNOCK_EVENT` | `admit`, `close`, `lockout`, `knock` |
/// | `TCPKNOCK_TIME` | when, in UTC (RFC 3339) |
/// | `TCPKNOCK_GUEST` | whose key it was, by name |
/// | `TCPKNOCK_CLIENT_ADDRESS`, `TCPKNOCK_CLIENT_PORT` | the client's end |
/// | `TCPKNOCK_SERVER_ADDRESS`, `TCPKNOCK_SERVER_PORT` | the server's end |
/// | `TCPKNOCK_FAMILY` | `4` or `6` |
/// | `TCPKNOCK_REASON` | why, by the names that `tcpknock reasons` lists |
/// | `TCPKNOCK_SECONDS` | how long: the connection that closed, or the lockout |
/// | `TCPKNOCK_BYTES_RECEIVED`, `TCPKNOCK_BYTES_SENT` | what the server received and sent, IP headers included |
///
/// What is not known is not set.
package struct HookDetails: Equatable, Sendable {
    /// What happened.
    package var event: HookEvent
    /// Whose connection.
    package var flow: Flow
    /// When, in seconds since 1970.
    package var unixSeconds: Int64
    /// The name of the guest.
    package var guest: String?
    /// Why, as a word for scripts.
    package var reason: String?
    /// How long the connection lasted, or the lockout is to last.
    package var seconds: UInt64?
    /// Bytes from the client.
    package var bytesReceived: UInt64?
    /// Bytes to the client.
    package var bytesSent: UInt64?

    /// Names what is always known; the rest can be set.
    package init(_ event: HookEvent, _ flow: Flow, unixSeconds: Int64) {
        self.event = event
        self.flow = flow
        self.unixSeconds = unixSeconds
    }

    /// The variables of the environment.
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
