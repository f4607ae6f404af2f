// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import Wire

/// A change in the set of open connections.
enum ConnectionChange: Equatable, Sendable {
    /// A connection was admitted.
    case opened(Flow, KeyID?, since: Instant)
    /// A connection has ended.
    case ended(Flow)
}
