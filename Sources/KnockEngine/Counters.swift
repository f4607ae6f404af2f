// SPDX-License-Identifier: GPL-2.0-or-later

/// How many packets got a verdict for each reason.
public struct Counters: Equatable, Sendable {
    private var values = [UInt64](repeating: 0, count: Reason.allCases.count)

    /// Starts at zero.
    public init() {}

    /// The number of packets with this reason.
    public subscript(reason: Reason) -> UInt64 {
        values[Int(reason.rawValue)]
    }

    /// Adds the numbers of other counters.
    public mutating func add(_ other: Counters) {
        for index in values.indices { values[index] &+= other.values[index] }
    }

    mutating func count(_ reason: Reason) {
        values[Int(reason.rawValue)] &+= 1
    }
}
