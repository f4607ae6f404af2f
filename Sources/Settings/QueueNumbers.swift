// SPDX-License-Identifier: GPL-2.0-or-later

/// Consecutive queues.
package enum QueueNumbers {
    /// How many queues there can be: more threads than that have never helped.
    package static let maximumCount = 64

    /// Reads `FIRST` or `FIRST:LAST`, as `--queue-balance` of iptables has it; nil if it is neither or too many.
    package static func range(_ text: String) -> ClosedRange<UInt16>? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ $0.first?.isNumber == true }), let first = UInt16(parts[0]),
            let last = UInt16(parts[parts.count - 1]), first <= last, last - first < maximumCount
        else { return nil }
        return first...last
    }

    /// `FIRST` or `FIRST:LAST`.
    package static func text(_ range: ClosedRange<UInt16>) -> String {
        range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound):\(range.upperBound)"
    }
}
