// SPDX-License-Identifier: GPL-2.0-or-later
package import JSONText
package import KnockEngine
internal import Program
internal import Wire

/// The list of lockouts, for display and for scripts.
package struct LockList {
    private struct Row {
        let address: IPAddress
        let guest: String?
        let lockout: Lockout
    }

    private let locks: [Row]
    private let now: Instant

    /// Creates a list of the lockouts that are not over.
    ///
    /// `name` returns the names of guests.
    package init(
        _ locks: [(subject: Lockout.Subject, lockout: Lockout)], now: Instant, name: (KeyID) -> String?
    ) {
        self.locks = locks.map { subject, lockout in
            Row(address: subject.address, guest: subject.key.map { name($0) ?? "-" }, lockout: lockout)
        }
        self.now = now
    }

    /// One line per lockout, beginning with the address.
    package var text: String {
        guard !locks.isEmpty else { return "nobody is locked out\n" }
        let rows = locks.map { row in
            [
                "\(row.address)", row.guest.map { "guest \($0)" } ?? "everybody",
                "for \(DurationText.text(seconds: remaining(row.lockout))) more", row.lockout.reason.name,
                row.lockout.reason.explanation,
            ]
        }
        return TextTable.lines(rows).map { $0.dropFirst(2) + "\n" }.joined()
    }

    /// An array with one object per lockout.
    package var json: JSONValue {
        .array(
            locks.map { row in
                let guest: JSONValue = row.guest.map { .string($0) } ?? .null
                return .object([
                    "address": .string("\(row.address)"), "guest": guest,
                    "secondsLeft": .unsigned(remaining(row.lockout)), "reason": .string(row.lockout.reason.name),
                ])
            })
    }

    private func remaining(_ lockout: Lockout) -> UInt64 {
        lockout.until > now.uptime ? (lockout.until - now.uptime + 999) / 1000 : 0
    }
}
