// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import DaemonCore
internal import KnockEngine
internal import Linux
package import Logging
package import Program
package import Settings
internal import Synchronization

/// Which command is run for which guest at which event.
package final class GuestHooks: Sendable {
    private let runner: HookRunner
    private let common: Mutex<ServerSettings>

    /// Starts what runs hooks.
    ///
    /// - Parameters:
    ///   - settings: The limits, and the commands for guests who have none of their own.
    ///   - logger: Where hooks that fail are reported.
    /// - Throws: What keeps hooks from being run.
    package init(_ settings: ServerSettings, logger: Logger) throws(FatalError) {
        runner = try HookRunner(limit: Int(settings.hookLimit), seconds: settings.hookSeconds, logger: logger)
        common = Mutex(settings)
    }

    /// Takes over other commands.
    func adopt(_ settings: ServerSettings) {
        common.withLock { $0 = settings }
    }

    /// Runs what is to be run at an event of a handshake; returns at once.
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

    /// Runs what is to be run at the end of a connection; returns at once.
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

    /// Ends hooks that run.
    func shutDown() { runner.shutDown() }
}
