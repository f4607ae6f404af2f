// SPDX-License-Identifier: GPL-2.0-or-later

/// The hooks that wait, in a line for each guest.
///
/// The lines take turns.
struct WaitingHooks: Sendable {
    private var lines: [String: [HookJob]] = [:]
    /// Guests of whom a hook waits, the one whose turn is next first.
    private var turns: [String] = []
    /// How many wait.
    private(set) var count = 0

    /// Puts a hook at the end of its guest's line.
    mutating func append(_ job: HookJob) {
        if lines[job.guest] == nil { turns.append(job.guest) }
        lines[job.guest, default: []].append(job)
        count += 1
    }

    /// Takes the first hook of the next guest of those who may.
    mutating func next(where mayRun: (String) -> Bool) -> HookJob? {
        guard let turn = turns.firstIndex(where: mayRun) else { return nil }
        let guest = turns.remove(at: turn)
        guard let job = lines[guest]?.removeFirst() else { return nil }
        count -= 1
        if lines[guest]?.isEmpty == false { turns.append(guest) } else { lines[guest] = nil }
        return job
    }

    /// Drops the latest hook of the guest of whom the most wait.
    ///
    /// - Returns: Whose it was.
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

    /// Drops all.
    ///
    /// - Returns: How many of each guest.
    mutating func dropAll() -> [String: UInt64] {
        let counts = lines.mapValues { UInt64($0.count) }
        self = WaitingHooks()
        return counts
    }
}
