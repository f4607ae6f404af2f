// SPDX-License-Identifier: GPL-2.0-or-later
import CAllocationCounter
import KnockEngine

/// What the passes of one kind of packet came to.
struct Kind {
    let name: String
    /// Nanoseconds per packet, one value for each pass.
    var nanoseconds: [Double] = []
    /// Allocations of all passes together.
    var allocations = 0
    /// How many packets did not get the verdict that this kind is about.
    var unexpected = 0

    /// One line of JSON, with the median of the ratios to the passes of `first`, with which these took turns.
    func json(keys: Int, comparedWith first: Kind) -> String {
        let ratios = zip(nanoseconds, first.nanoseconds).map { $0 / $1 }.sorted()
        let ratio = (ratios[ratios.count / 2] * 1000).rounded() / 1000
        let sorted = nanoseconds.sorted()
        func quantile(_ share: Double) -> Double { sorted[Int(Double(sorted.count - 1) * share)] }
        let numbers = [("median", 0.5), ("low", 0.1), ("high", 0.9)]
            .map { name, share in "\"\(name)\": \((quantile(share) * 10).rounded() / 10)" }.joined(separator: ", ")
        return "{\"keys\": \(keys), \"kind\": \"\(name)\", \(numbers), \"ratio\": \(ratio), "
            + "\"allocations\": \(allocations), \"unexpected\": \(unexpected)}"
    }
}

/// Takes the time of passes, kind by kind.
struct Stopwatch {
    private(set) var kinds: [Kind] = []
    private var positions: [String: Int] = [:]
    private let clock = ContinuousClock()
    /// Whether what is timed counts; not while caches warm up.
    var counts = false

    /// Takes the time of `body`, which handles `count` packets and returns how many had another verdict than expected.
    mutating func time(_ name: String, count: Int, _ body: () -> Int) {
        let allocationsBefore = allocation_counter_value()
        let start = clock.now
        let unexpected = body()
        let duration = clock.now - start
        let allocations = allocation_counter_value() - allocationsBefore
        guard counts else { return }
        let position = positions[name] ?? kinds.count
        if position == kinds.count {
            kinds.append(Kind(name: name))
            positions[name] = position
        }
        let attoseconds = Double(duration.components.seconds) * 1e18 + Double(duration.components.attoseconds)
        kinds[position].nanoseconds.append(attoseconds / 1e9 / Double(count))
        kinds[position].allocations += allocations
        kinds[position].unexpected += unexpected
    }

    /// Takes the time that an engine needs for packets, which all should get the verdict `reason`.
    mutating func time<Judge: Engine & ~Copyable>(
        _ name: String, _ engine: inout Judge, _ packets: inout Packets, _ direction: Direction, at now: Instant,
        expecting reason: Reason
    ) {
        time(name, count: packets.count) {
            var unexpected = 0
            packets.forEach { bytes in
                let verdict = engine.process(&bytes, direction, at: now)
                if verdict.reason != reason { unexpected += 1 }
            }
            return unexpected
        }
        while engine.nextEvent() != nil {}
    }
}
