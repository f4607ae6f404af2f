// SPDX-License-Identifier: GPL-2.0-or-later

/// A check that the clock is right, if codes depend on it.
enum ClockCheck {
    private static let name = "clock"
    /// The process names of services that set the clock.
    ///
    /// The kernel keeps at most 15 bytes of a name (comm, proc(5)).
    private static let services = [
        "chronyd", "systemd-timesyn", "ntpd", "ntp-daemon", "timemaster", "phc2sys", "sntpd",
    ]
    /// The largest acceptable error of the clock, in microseconds.
    ///
    /// More is too close to the one minute that codes allow.
    private static let largeError = 5_000_000
    /// 2025-01-01 00:00 UTC, in seconds since 1970.
    ///
    /// A clock that shows an earlier time was never set.
    private static let earliest: Int64 = 1_735_689_600

    static func run(_ examination: Examination) -> [Finding] {
        guard examination.subject.usesTime else { return [Finding(name, .ok, "codes do not depend on the time")] }
        guard let clock = examination.host.clock() else {
            return [Finding(name, .note, "the kernel does not say how good the clock is")]
        }
        return [finding(clock, service: services.first { examination.processes.names.contains($0) })]
    }

    private static func finding(_ clock: ClockState, service: String?) -> Finding {
        let noTime = "or do without the clock on both hosts: --no-time"
        if clock.unixSeconds < earliest {
            return Finding(
                name, .error, "the clock was never set: it says a time before 2025",
                cure: "set it: timedatectl set-ntp true, or date -u --set 'YYYY-MM-DD HH:MM:SS'; \(noTime)")
        }
        if !clock.isSynchronised {
            guard let service else {
                return Finding(
                    name, .warning,
                    "nothing keeps the clock right, and knocks fail when it is more than a minute off",
                    cure: "apt-get install chrony, or timedatectl set-ntp true; \(noTime)")
            }
            return Finding(
                name, .warning, "\(service) runs, but has not synchronised the clock",
                cure:
                    "look why: \(service == "chronyd" ? "chronyc tracking" : "timedatectl timesync-status"); \(noTime)")
        }
        if clock.estimatedError > largeError {
            return Finding(
                name, .warning, "the clock may be \(clock.estimatedError / 1_000_000) seconds off",
                cure: "look at the time service: chronyc tracking, or timedatectl timesync-status; \(noTime)")
        }
        return Finding(name, .ok, "the clock is synchronised\(service.map { " by \($0)" } ?? "")")
    }
}
