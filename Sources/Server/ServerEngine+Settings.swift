// SPDX-License-Identifier: GPL-2.0-or-later
internal import DaemonCore
package import KnockEngine
internal import Program
package import Settings
internal import Wire

extension ServerEngine.Configuration {
    /// Creates the engine's configuration from the daemon's settings.
    package init(_ settings: ServerSettings) {
        self.init(
            targetPorts: settings.targetPorts, lockoutSeconds: settings.lockoutSeconds,
            guestSYNRate: settings.guestSYNRate, wrongCodeSeconds: settings.wrongCodeSeconds)
        exempt = settings.exempt.compactMap { if case .prefix(let prefix) = $0 { prefix } else { nil } }
        locksOutEverybody = settings.lockoutScope == .address
        usesTime = !settings.noTime
        switch settings.guestSearch {
        case .auto: break
        case .hint: mostKeysTried = 0
        case .all: mostKeysTried = .max
        }
        looksClosed = settings.onFailure == .reset
        acceptsFastOpen = settings.fastOpen
        wrongCodeLimit = settings.lockoutAfterWrongCodes
        reporting = settings.logLevel == .debug ? .drops : []
    }
}
