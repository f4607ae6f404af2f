// SPDX-License-Identifier: GPL-2.0-or-later

/// The state of the clock (adjtimex(2)).
package struct ClockState: Equatable, Sendable {
    /// Whether the clock is kept synchronised: STA_UNSYNC is clear.
    package var isSynchronised: Bool
    /// The estimated error in microseconds.
    package var estimatedError: Int
    /// The time in seconds since 1970-01-01 00:00 UTC.
    package var unixSeconds: Int64

    package init(isSynchronised: Bool, estimatedError: Int, unixSeconds: Int64) {
        self.isSynchronised = isSynchronised
        self.estimatedError = estimatedError
        self.unixSeconds = unixSeconds
    }
}
