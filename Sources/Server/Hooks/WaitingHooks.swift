// SPDX-License-Identifier: GPL-2.0-or-later

/// The waiting hooks, in one line per guest.
///
/// The guests take turns.
struct WaitingHooks: Sendable {
    private var lines: [String: [HookJob]] = [:]
    /// The guests with waiting hooks, in the order of their turns.
    private var turns: [String] = []
    /// The number of waiting hooks.
    private(set) var count = 0

    /// Adds a hook to the end of its guest's line.
    mutating func append(_ job: HookJob) {
        if lines[job.guest] == nil { turns.append(job.guest) }
        lines[job.guest, default: []].append(job)
        count += 1
    }

    /// Removes and returns the first hook of the next guest that may run one.
    mutating func next(where mayRun: (String) -> Bool) -> HookJob? {
        guard let turn = turns.firstIndex(where: mayRun) else { return nil }
        let guest = turns.remove(at: turn)
        guard let job = lines[guest]?.removeFirst() else { return nil }
        count -= 1
        if lines[guest]?.isEmpty == false { turns.append(guest) } else { lines[guest] = nil }
        return job
    }

    /// Drops the latest hook of the guest with the most waiting hooks.
    ///
    /// - Returns: The guest's name.
    mutating func dropOne() -> String? {
        guard let guest = lines.max(by: { $0.value.count < $1.value.count })?.key else { return nil }
        lines[guest]?.removeLast()
        count -= 1
        if lines[guest]?.isEmpty == true {
            lines[guest] = nil
            turns.removeAll { $0 == guest }
        }
        return guest
    }

    /// Drops all hooks.
    ///
    /// - Returns: The number dropped for each guest.
    mutating func dropAll() -> [String: UInt64] {
        let counts = lines.mapValues { UInt64($0.count) }
        self = WaitingHooks()
        return counts
    }
}
