// SPDX-License-Identifier: GPL-2.0-or-later
package import Dispatch

extension DispatchQueue {
    /// Repeats work until the timer is cancelled.
    ///
    /// - Parameters:
    ///   - seconds: The interval in seconds.
    ///   - delay: The delay before the first time, in seconds.
    ///   - work: The work, which is done on this queue.
    /// - Returns: The timer. The caller must keep it.
    package func every(
        seconds: Int, after delay: Int = 0, _ work: @escaping @Sendable () -> Void
    ) -> any DispatchSourceTimer {
        let timer = DispatchSource.makeTimerSource(queue: self)
        timer.schedule(deadline: .now() + .seconds(delay), repeating: .seconds(seconds), leeway: .milliseconds(100))
        timer.setEventHandler(handler: work)
        timer.activate()
        return timer
    }
}
