// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
internal import Synchronization

/// The names of guests or targets, by the key IDs that the engine uses.
///
/// While the daemon runs, the same name with the same key always has the same ID, however often the configuration is
/// read. The same name with another key has another ID.
package final class KeyRegistry: Sendable {
    /// The name and the key fingerprint that an ID stands for.
    package struct Identity: Hashable {
        package let name: String
        package let fingerprint: String
    }

    private struct State {
        var numbers: [Identity: KeyID] = [:]
        var identities: [KeyID: Identity] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// Returns the ID of a name with a key, and assigns one on first use.
    package func id(of name: String, fingerprint: String) -> KeyID {
        state.withLock { state in
            let identity = Identity(name: name, fingerprint: fingerprint)
            if let known = state.numbers[identity] { return known }
            let id = KeyID(UInt32(truncatingIfNeeded: state.numbers.count))
            state.numbers[identity] = id
            state.identities[id] = identity
            return id
        }
    }

    /// Returns the name with this ID, even if it is no longer in the configuration.
    package func name(of id: KeyID) -> String? {
        identity(of: id)?.name
    }

    /// Returns the name and the fingerprint with this ID; nil if the ID is unknown.
    package func identity(of id: KeyID) -> Identity? {
        state.withLock { $0.identities[id] }
    }
}
