// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import DaemonCore
internal import KnockEngine
package import Linux
package import Logging
package import Settings
internal import Synchronization

/// The commands to run for each guest and event.
package final class GuestHooks: Sendable {
    private let runner: HookRunner
    private let common: Mutex<ServerSettings>

    /// Starts the hook runner.
    ///
    /// - Parameters:
    ///   - settings: The limits, and the commands for guests without their own.
    ///   - logger: The log for failed hooks.
    /// - Throws: The reason why hooks cannot be run.
    package init(_ settings: ServerSettings, logger: Logger) throws(FatalError) {
        runner = try HookRunner(limit: Int(settings.hookLimit), seconds: settings.hookSeconds, logger: logger)
        common = Mutex(settings)
    }

    /// Adopts new commands.
    func adopt(_ settings: ServerSettings) {
        common.withLock { $0 = settings }
    }

    /// Runs the hook for an event of a handshake, if there is one; returns at once.
    func run(
        _ kind: HookEvent, _ event: Event, guest: GuestSettings?, _ name: String?, seconds: UInt64? = nil
    ) {
        guard let command = command(kind, guest) else { return }
        var details = HookDetails(kind, event.flow, unixSeconds: event.time.unixSeconds)
        details.guest = name
        details.reason = event.reason.name
        details.seconds = seconds
        runner.run(command, environment: details.environment)
    }

    /// Runs the hook for the end of a connection, if there is one; returns at once.
    func run(_ ended: EndedConnection, guest: GuestSettings?, _ name: String?) {
        guard let command = command(.closed, guest) else { return }
        var details = HookDetails(.closed, ended.flow, unixSeconds: SystemClock.now().unixSeconds)
        details.guest = name
        details.reason = ended.connection.ending
        details.seconds = ended.seconds
        details.bytesReceived = ended.bytes?.received
        details.bytesSent = ended.bytes?.sent
        runner.run(command, environment: details.environment)
    }

    private func command(_ kind: HookEvent, _ guest: GuestSettings?) -> HookCommand? {
        let common = common.withLock { $0 }
        switch kind {
        case .admitted, .knocked: return guest?.onAdmit ?? common.onAdmit
        case .closed: return guest?.onClose ?? common.onClose
        case .lockedOut: return guest?.onLockout ?? common.onLockout
        }
    }

    /// Ends the running hooks.
    func shutDown() { runner.shutDown() }
}
