// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import Wire

/// What tests compare of an event: all but the time, and whose key it was.
struct Noted: Equatable {
    let flow: Flow
    let reason: Reason
    let mode: MaskMode?

    init(_ flow: Flow, _ reason: Reason, _ mode: MaskMode? = nil) {
        (self.flow, self.reason, self.mode) = (flow, reason, mode)
    }

    init(_ event: Event) {
        self.init(event.flow, event.reason, event.mode)
    }
}

extension Guest {
    /// A guest to whom all ports of tests are open.
    init(_ keys: KeySchedule, id: UInt32 = 0) {
        self.init(id: KeyID(id), keys: keys, ports: [22, 23, 443, 65535])
    }
}
