// SPDX-License-Identifier: GPL-2.0-or-later
package import JSONText
package import KnockEngine
package import Wire

/// Who is locked out, for people and for programs.
package struct LockList {
    private let locks: [(address: IPAddress, lockout: Lockout)]
    private let now: Instant

    /// Takes the lockouts that are not over, and the time.
    package init(_ locks: [(address: IPAddress, lockout: Lockout)], now: Instant) {
        self.locks = locks
        self.now = now
    }

    /// One line an address.
    package var text: String {
        guard !locks.isEmpty else { return "nobody is locked out\n" }
        let rows = locks.map { address, lockout in
            [
                "\(address)", "for \(DurationText.text(seconds: remaining(lockout))) more", lockout.reason.name,
                lockout.reason.explanation,
            ]
        }
        return TextTable.lines(rows).map { $0.dropFirst(2) + "\n" }.joined()
    }

    /// An array with an object for each.
    package var json: JSONValue {
        .array(
            locks.map { address, lockout in
                .object([
                    "address": .string("\(address)"), "secondsLeft": .unsigned(remaining(lockout)),
                    "reason": .string(lockout.reason.name),
                ])
            })
    }

    private func remaining(_ lockout: Lockout) -> UInt64 {
        lockout.until > now.uptime ? (lockout.until - now.uptime + 999) / 1000 : 0
    }
}
