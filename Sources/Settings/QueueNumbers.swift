// SPDX-License-Identifier: GPL-2.0-or-later

/// Ranges of consecutive queue numbers.
package enum QueueNumbers {
    /// The largest number of queues.
    ///
    /// More threads have never helped.
    package static let maximumCount = 64

    /// Parses `FIRST` or `FIRST:LAST`, the syntax of iptables' `--queue-balance`; nil if the text is neither or there
    /// are too many queues.
    package static func range(_ text: String) -> ClosedRange<UInt16>? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ $0.first?.isNumber == true }), let first = UInt16(parts[0]),
            let last = UInt16(parts[parts.count - 1]), first <= last, last - first < maximumCount
        else { return nil }
        return first...last
    }

    /// Returns the range as `FIRST` or `FIRST:LAST`.
    package static func text(_ range: ClosedRange<UInt16>) -> String {
        range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound):\(range.upperBound)"
    }
}
