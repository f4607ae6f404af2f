// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// The key of a handshake in the table; it includes the guest, so that no guest can displace another's handshake.
struct HandshakeName: Hashable {
    let flow: Flow
    /// The key that its code was made with.
    let key: KeyID

    init(_ flow: Flow, _ key: KeyID) {
        (self.flow, self.key) = (flow, key)
    }

    /// Hashes the flow alone, so that all handshakes of one flow are found together.
    func hash(into hasher: inout Hasher) { hasher.combine(flow) }
}
