// SPDX-License-Identifier: GPL-2.0-or-later

/// How log lines look.
package enum LogFormat: String, CaseIterable, Sendable {
    /// `time LEVEL message name=value ...`.
    case text
    /// One JSON object a line: `time`, `level`, `message`, and the values by their names.
    case json
    /// As text, with the priority before it that the journal reads: `<4>` (sd-daemon(3)).
    case journal
}

/// How much is logged: lines of this level and those above it.
package enum LogLevel: String, CaseIterable, Sendable {
    /// Also each dropped packet, up to some lines a second.
    case debug
    /// Also each connection.
    case info
    /// Also starts and stops, and connections that were closed.
    case notice
    /// Lockouts, servers that did not prove themselves, lost packets.
    case warning
    /// Only what keeps the daemon from its work.
    case error
}

/// Where log lines go.
package enum LogTarget: String, CaseIterable, Sendable {
    /// Standard error.
    case stderr
    /// The system's log (syslog(3)).
    case syslog
}

/// In which kind of iptables the firewall rules are.
package enum IPTablesChoice: String, CaseIterable, Sendable {
    /// Where they are already, else in what `iptables` is on the host.
    case auto
    /// In the tables of nftables.
    case nft
    /// In those of ip_tables, which `nft flush ruleset` leaves alone.
    case legacy
}

/// What becomes of a SYN without a right code.
package enum FailureAnswer: String, CaseIterable, Sendable {
    /// No answer.
    case drop
    /// What a closed port answers.
    case reset
}

/// Whom a wrong third ACK locks out.
package enum LockoutScope: String, CaseIterable, Sendable {
    /// The guest whose key it was, at the address that it came from.
    case guest
    /// Everybody at that address.
    case address
}

/// How the guest is found whose key a SYN's code is of.
package enum GuestSearch: String, CaseIterable, Sendable {
    /// As `all` up to eight guests, else as `hint`.
    case auto
    /// Only by the hint that the SYN carries.
    case hint
    /// By the hint; all keys are tried if that finds nobody.
    case all
}

/// Whether SYNs with wrong codes are dropped by a program in the kernel.
package enum KernelFilterChoice: String, CaseIterable, Sendable {
    /// Where the kernel allows it.
    case auto
    /// Or the daemon does not start.
    case on
    /// Not at all.
    case off
}

/// What is done about firewall rules that somebody has taken away.
package enum RulesGuardChoice: String, CaseIterable, Sendable {
    /// It is said, and they are put back.
    case restore
    /// It is said.
    case tell
    /// Nothing; nobody looks at them.
    case off
}

/// How servers are asked to mask their ISN (docs/PROTOCOL.md §5).
package enum MaskChoice: String, CaseIterable, Sendable {
    /// Windowed behind a NAT, else full.
    case auto
    /// All 32 bits.
    case full
    /// 15 bits, which stateful boxes on the way can bear.
    case windowed
}
