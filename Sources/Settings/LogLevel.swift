// SPDX-License-Identifier: GPL-2.0-or-later

/// The level of detail of the log.
///
/// Lines of this level and of higher ones are written.
package enum LogLevel: String, CaseIterable, Sendable {
    /// Additionally each dropped packet, at a limited rate.
    case debug
    /// Additionally each connection.
    case info
    /// Additionally starts and stops, and connections that were closed.
    case notice
    /// Lockouts, servers that did not prove themselves, lost packets.
    case warning
    /// Only errors that keep the daemon from working properly.
    case error
}
