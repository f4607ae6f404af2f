// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control

/// A line of `server.sh guard --report` (firewall/guard.sh).
enum GuardLine: Equatable {
    /// The state of the rules, in answer to the request with this number.
    case rules(UInt64, FirewallStatus)
    /// The check failed, for this reason.
    case unknown(UInt64, String)
    /// A message about an action, for the log, and whether the action failed.
    case says(isError: Bool, String)

    /// Parses a line without its newline; nil if it is not one of these.
    init?(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard words.count == 3 else { return nil }
        switch words[0] {
        case "rules":
            guard let number = UInt64(words[1]), let status = FirewallStatus(words[2]) else { return nil }
            self = .rules(number, status)
        case "unknown":
            guard let number = UInt64(words[1]) else { return nil }
            self = .unknown(number, words[2].trimmingEnd)
        case "say":
            self = .says(isError: words[1] == "err", words[2].trimmingEnd)
        default:
            return nil
        }
    }
}

extension String {
    fileprivate var trimmingEnd: String {
        var text = self
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
