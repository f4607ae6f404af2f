// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine

/// A connection that was admitted, on the client: one whose server has proven itself.
package struct OpenConnection: Equatable, Sendable {
    /// Whose key it was opened with; nil if it is older than this daemon.
    package let key: KeyID?
    /// When it was admitted; when this daemon began, if it is older.
    package let since: Instant
    /// Why this side ends it; nil while it does not.
    package var ending: String?
    /// What connection tracking had counted of it when it forgot it, and was given it back.
    package var carried: ByteCount?

    /// Takes whose it is, and since when.
    package init(key: KeyID?, since: Instant, ending: String? = nil, carried: ByteCount? = nil) {
        self.key = key
        self.since = since
        self.ending = ending
        self.carried = carried
    }
}
