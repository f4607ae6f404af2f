// SPDX-License-Identifier: GPL-2.0-or-later
package import Logging

/// Says once when a table is nearly full, once when it is full, and once when there is room again.
package struct RoomWatch: Sendable {
    private enum Level: Int, Comparable {
        case ample, scarce, full

        static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// From how many percent on the room is scarce.
    private static let scarcePercent = 80
    /// Below how many percent it is ample again.
    private static let amplePercent = 70

    private let what: String
    private let consequence: String
    private var level = Level.ample

    /// Begins with ample room.
    ///
    /// - Parameters:
    ///   - what: What the table holds, in the plural.
    ///   - consequence: What happens when it is full.
    package init(_ what: String, whenFull consequence: String) {
        self.what = what
        self.consequence = consequence
    }

    /// Looks at how full the table is, and writes to the log if that is news.
    package mutating func look(_ taken: Int, of capacity: Int, _ logger: Logger) {
        let percent = taken * 100 / max(capacity, 1)
        let now: Level =
            taken >= capacity
            ? .full : percent >= Self.scarcePercent ? .scarce : percent < Self.amplePercent ? .ample : level
        // Full, and a moment later not quite, is not news each time.
        guard now > level || now == .ample && level != .ample else { return }
        level = now
        let metadata: Logger.Metadata = ["taken": "\(taken)", "capacity": "\(capacity)"]
        switch now {
        case .ample: logger.notice("there is room for \(what) again", metadata: metadata)
        case .scarce:
            logger.warning(
                "the room for \(what) is \(percent) % taken; when all is, \(consequence)", metadata: metadata)
        case .full: logger.error("there is no room for more \(what): \(consequence)", metadata: metadata)
        }
    }
}
