// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
internal import Synchronization

/// The names of guests or targets by the numbers that the engine knows them by.
///
/// The same name with the same key has the same number for as long as the daemon runs, however often its configuration
/// is read again; with another key it is another one.
package final class KeyRegistry: Sendable {
    /// Whom a number stands for.
    package struct Identity: Hashable {
        package let name: String
        package let fingerprint: String
    }

    private struct State {
        var numbers: [Identity: KeyID] = [:]
        var identities: [KeyID: Identity] = [:]
    }

    private let state = Mutex(State())

    /// Begins empty.
    package init() {}

    /// The number of a name with a key.
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

    /// The name with a number, also one that is no longer in the configuration.
    package func name(of id: KeyID) -> String? {
        identity(of: id)?.name
    }

    /// The name and the fingerprint with a number.
    package func identity(of id: KeyID) -> Identity? {
        state.withLock { $0.identities[id] }
    }
}
