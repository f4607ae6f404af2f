// SPDX-License-Identifier: GPL-2.0-or-later
package import Logging

/// Logs once when a table is nearly full, once when it is full, and once when there is room again.
package struct RoomWatch: Sendable {
    private enum Level: Int, Comparable {
        case ample, scarce, full

        static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// The percentage from which on room is scarce.
    private static let scarcePercent = 80
    /// The percentage below which room is ample again.
    private static let amplePercent = 70

    private let what: String
    private let consequence: String
    private var level = Level.ample

    /// Creates a watch of a table with ample room.
    ///
    /// - Parameters:
    ///   - what: The contents of the table, in the plural.
    ///   - consequence: What happens when the table is full.
    package init(_ what: String, whenFull consequence: String) {
        self.what = what
        self.consequence = consequence
    }

    /// Checks how full the table is, and logs a change of level.
    package mutating func look(_ taken: Int, of capacity: Int, _ logger: Logger) {
        let percent = taken * 100 / max(capacity, 1)
        let now: Level =
            taken >= capacity
            ? .full : percent >= Self.scarcePercent ? .scarce : percent < Self.amplePercent ? .ample : level
        // Alternating between full and nearly full is not logged each time.
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
