// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Settings
internal import SystemPackage
internal import Wire

/// The two roles of a host; it may have both.
package enum Role: String, CaseIterable, Sendable {
    /// Protects ports.
    case server
    /// Knocks at ports.
    case client

    /// The name of the daemon's program.
    package var program: String { "tcpknock-\(rawValue)" }
    /// The default queue.
    package var defaultQueue: UInt16 { self == .server ? ServerSettings().queues.lowerBound : ClientSettings().queue }
    /// What happens while no daemon listens to the queue.
    var withoutDaemon: String {
        self == .server
            ? "nobody can open a new connection to the protected ports"
            : "connections go out without a knock, and protected servers do not answer"
    }
}
