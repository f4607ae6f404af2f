// SPDX-License-Identifier: GPL-2.0-or-later
package import Dispatch

extension DispatchQueue {
    /// Does something again and again until the timer is cancelled.
    ///
    /// - Parameters:
    ///   - seconds: How long from one time to the next.
    ///   - delay: How long until the first time, in seconds.
    ///   - work: What is done on this queue.
    /// - Returns: The timer, which must be kept.
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
