// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine

/// An open connection: on the server, one that was admitted; on the client, one whose server has proven itself.
package struct OpenConnection: Equatable, Sendable {
    /// The ID of the key it was opened with; nil if it was opened before this daemon started.
    package let key: KeyID?
    /// The time of admission, or of the daemon's start if the connection is older.
    package let since: Instant
    /// The reason why this side ends the connection; nil if it does not.
    package var ending: String?
    /// The bytes that connection tracking had counted before it deleted the connection's entry, which was then
    /// restored.
    package var carried: ByteCount?

    package init(key: KeyID?, since: Instant, ending: String? = nil, carried: ByteCount? = nil) {
        self.key = key
        self.since = since
        self.ending = ending
        self.carried = carried
    }
}
