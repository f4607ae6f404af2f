// SPDX-License-Identifier: GPL-2.0-or-later

/// The number of verdicts for each reason.
public struct Counters: Equatable, Sendable {
    private var values = [UInt64](repeating: 0, count: Reason.allCases.count)

    public init() {}

    /// The number of verdicts with a reason.
    public subscript(reason: Reason) -> UInt64 {
        values[Int(reason.rawValue)]
    }

    /// Adds other counters to these.
    public mutating func add(_ other: Counters) {
        for index in values.indices { values[index] &+= other.values[index] }
    }

    mutating func count(_ reason: Reason) {
        values[Int(reason.rawValue)] &+= 1
    }
}
