// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Linux
package import Logging
internal import Settings
internal import Synchronization
package import Wire

/// Resolves the host names of the targets, every minute, or more often while a name has no address.
///
/// If a name can no longer be resolved, its last known addresses are kept.
package final class HostNames: Sendable {
    /// The interval between two resolutions, in seconds.
    private static let interval = 60
    /// The interval while a name has no address, in seconds.
    ///
    /// The network may be about to come up.
    private static let shortInterval = 5
    /// The time that the daemon waits for the first answers when it starts, in seconds.
    private static let patience = 5

    private struct State {
        var names: [String] = []
        var addresses: [String: [IPAddress]] = [:]
        var failures: [String: ResolverError] = [:]
    }

    private let state = Mutex(State())
    private let resolver = DispatchQueue(label: "names")
    private let logger: Logger
    private let changed: @Sendable () -> Void

    /// Creates a resolver without names.
    ///
    /// - Parameters:
    ///   - logger: The log for names that cannot be resolved. An error is logged once, until it changes.
    ///   - changed: Called on a thread of its own when the addresses of a name have changed.
    package init(logger: Logger, changed: @escaping @Sendable () -> Void) {
        self.logger = logger
        self.changed = changed
    }

    /// The addresses found so far, by name.
    package var addresses: [String: [IPAddress]] { state.withLock { $0.addresses } }

    /// Replaces the names, and waits a few seconds for their first addresses.
    package func adopt(_ names: [String]) {
        state.withLock { state in
            state.names = names
            state.addresses = state.addresses.filter { names.contains($0.key) }
            state.failures = state.failures.filter { names.contains($0.key) }
        }
        guard !names.isEmpty else { return }
        let answered = DispatchSemaphore(value: 0)
        resolver.async { [self] in
            resolve()
            answered.signal()
        }
        _ = answered.wait(timeout: .now() + .seconds(Self.patience))
    }

    /// Starts resolving at regular intervals.
    package func start() {
        let isMissing = state.withLock { state in state.names.contains { state.addresses[$0, default: []].isEmpty } }
        let interval = isMissing ? Self.shortInterval : Self.interval
        resolver.asyncAfter(deadline: .now() + .seconds(interval)) { [weak self] in
            self?.resolve()
            self?.start()
        }
    }

    private func resolve() {
        var isChanged = false
        for name in state.withLock({ $0.names }) {
            switch NameResolver.addresses(of: name) {
            case .success(let addresses):
                let isOther = state.withLock { state in
                    state.failures[name] = nil
                    guard Set(state.addresses[name] ?? []) != Set(addresses) else { return false }
                    state.addresses[name] = addresses
                    return true
                }
                guard isOther else { continue }
                isChanged = true
                let list = addresses.map(\.description).joined(separator: ", ")
                logger.info("addresses of a target", metadata: ["name": "\(name)", "addresses": "\(list)"])
            case .failure(let error):
                let isNew = state.withLock { $0.failures.updateValue(error, forKey: name) != error }
                if isNew { logger.warning("no addresses of a target: \(error)", metadata: ["name": "\(name)"]) }
            }
        }
        if isChanged { changed() }
    }
}
