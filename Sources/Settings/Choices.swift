// SPDX-License-Identifier: GPL-2.0-or-later

/// The format of log lines.
package enum LogFormat: String, CaseIterable, Sendable {
    /// `time LEVEL message name=value ...`.
    case text
    /// A JSON object per line: `time`, `level`, `message`, and the values by their names.
    case json
    /// Like `text`, preceded by a priority for the journal, such as `<4>` (sd-daemon(3)).
    case journal
}

/// The level of detail of the log.
///
/// Lines of this level and of higher ones are written.
package enum LogLevel: String, CaseIterable, Sendable {
    /// Additionally each dropped packet, at a limited rate.
    case debug
    /// Additionally each connection.
    case info
    /// Additionally starts and stops, and connections that were closed.
    case notice
    /// Lockouts, servers that did not prove themselves, lost packets.
    case warning
    /// Only errors that keep the daemon from working properly.
    case error
}

/// The destination of log lines.
package enum LogTarget: String, CaseIterable, Sendable {
    /// Standard error.
    case stderr
    /// The system's log (syslog(3)).
    case syslog
}

/// The variant of iptables that contains the firewall rules.
package enum IPTablesChoice: String, CaseIterable, Sendable {
    /// The variant that already contains the rules; otherwise that of the host's `iptables` command.
    case auto
    /// The variant that uses nftables.
    case nft
    /// The variant that uses ip_tables, whose tables `nft flush ruleset` does not touch.
    case legacy
}

/// The answer to a SYN without a right code.
package enum FailureAnswer: String, CaseIterable, Sendable {
    /// No answer.
    case drop
    /// The answer of a closed port.
    case reset
}

/// The scope of a lockout after a wrong third ACK.
package enum LockoutScope: String, CaseIterable, Sendable {
    /// The guest whose key was used, at the address that the ACK came from.
    case guest
    /// Everybody at that address.
    case address
}

/// The way to find the guest whose key a SYN's code was made with.
package enum GuestSearch: String, CaseIterable, Sendable {
    /// Like `all` for up to eight guests, otherwise like `hint`.
    case auto
    /// Only by the hint in the SYN.
    case hint
    /// By the hint.
    ///
    /// If that finds no guest, all keys are tried.
    case all
}

/// Whether a program in the kernel drops SYNs with wrong codes.
package enum KernelFilterChoice: String, CaseIterable, Sendable {
    /// If the kernel supports it.
    case auto
    /// Always; otherwise the daemon does not start.
    case on
    /// Never.
    case off
}

/// The reaction to firewall rules that another program has removed.
package enum RulesGuardChoice: String, CaseIterable, Sendable {
    /// The loss is reported, and the rules are restored.
    case restore
    /// The loss is reported.
    case tell
    /// The rules are not monitored.
    case off
}

/// The mask for ISNs that is requested from servers (docs/PROTOCOL.md §5).
package enum MaskChoice: String, CaseIterable, Sendable {
    /// Windowed behind a NAT, otherwise full.
    case auto
    /// All 32 bits.
    case full
    /// 15 bits, which stateful middleboxes tolerate.
    case windowed
}
