// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
package import Wire

/// A router on the way, and how the SYN had been changed when it arrived there.
package struct Hop: Equatable, Sendable {
    /// A field of the SYN that was changed on the way.
    package enum Change: String, CaseIterable, Sendable {
        case code = "acknowledgment field"
        case isn = "sequence number"
        case identifier = "identification field or flow label"
    }

    /// The distance of the router in hops; the first is 1.
    package let distance: Int
    /// The router's address.
    package let router: IPAddress
    /// The fields that were changed.
    ///
    /// Fields that the quote does not include count as unchanged.
    package let changes: [Change]

    package init(distance: Int, router: IPAddress, changes: [Change]) {
        self.distance = distance
        self.router = router
        self.changes = changes
    }

    /// Whether a server can no longer recognise the SYN as a knock.
    var breaksTheCode: Bool { changes.contains(.code) || changes.contains(.isn) }
}
