// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KnockEngine
internal import NetfilterQueue

/// The state file to which changes are added, and how a new one takes its place: what changes while that is written is
/// added to it before it does.
struct StateFile: ~Copyable {
    private enum Change {
        case entry(SharedState.Entry)
        case connection(ConnectionChange)
    }

    /// A file may grow by this, and to three times its length, until it is written anew; in bytes.
    private static let growth = 1 << 20
    /// More changes while a new file is written are too many for it.
    private static let longestPending = 100_000
    /// How long to wait after a failure, in milliseconds.
    private static let pause: UInt64 = 10_000

    /// nil while nothing can be written.
    private var writer: StateWriter?
    /// What has changed while a new file is written; nil at other times, and if it is too much.
    private var pending: [Change]?
    private var isToBeRewritten = false
    private var isUnsynchronised = false
    /// How long the file was when it was new.
    private var newLength = 0
    private var nextTry: UInt64 = 0

    /// Adds what has changed, and hands it to the system.
    ///
    /// - Parameters:
    ///   - entries: What has changed in the engines.
    ///   - isComplete: Whether that is all.
    ///   - change: What became of a connection.
    /// - Throws: What is in the way. What is in the file is whole but for the last record then, and is left as it is
    ///   until there is a new one.
    mutating func add(
        _ entries: [SharedState.Entry], isComplete: Bool, _ change: ConnectionChange?
    ) throws(SystemError) {
        if !isComplete { isToBeRewritten = true }
        keepPending(entries, change)
        guard writer != nil else { return }
        do throws(SystemError) {
            for entry in entries { try writer?.write(entry) }
            if let change { try writer?.write(change) }
            try writer?.flush()
            isUnsynchronised = true
        } catch {
            writer = nil
            isToBeRewritten = true
            throw error
        }
    }

    private mutating func keepPending(_ entries: [SharedState.Entry], _ change: ConnectionChange?) {
        guard pending != nil else { return }
        pending?.append(contentsOf: entries.map { .entry($0) })
        if let change { pending?.append(.connection(change)) }
        if let count = pending?.count, count > Self.longestPending { pending = nil }
    }

    /// Makes a descriptor of the file, for who waits for the disk while this goes on.
    ///
    /// - Returns: It, to be closed; -1 if the disk has everything, as far as is known.
    mutating func descriptorToSynchronise() -> Int32 {
        guard isUnsynchronised else { return -1 }
        isUnsynchronised = false
        return writer?.duplicate() ?? -1
    }

    // MARK: A new one

    /// Whether a new file is to be written now, in milliseconds of the clock of deadlines.
    func isDue(at uptime: UInt64) -> Bool {
        let length =
            switch writer {
            case .some(let writer): writer.length
            case .none: 0
            }
        return (length > 3 * newLength + Self.growth || isToBeRewritten) && uptime >= nextTry
    }

    /// Begins to remember what changes, for a new file.
    mutating func beginAnew() {
        pending = []
        isToBeRewritten = false
    }

    /// Adds to the new file what has changed meanwhile, and goes on with it.
    ///
    /// - Parameters:
    ///   - new: All there was when it was begun.
    ///   - folder: Gives it its name.
    /// - Throws: Why it is not to be; `giveUp` then.
    mutating func goOn(with new: consuming StateWriter, in folder: StateFolder) throws(SystemError) {
        guard let pending else { throw SystemError("too many changes for a new file", EAGAIN) }
        for change in pending {
            switch change {
            case .entry(let entry): try new.write(entry)
            case .connection(let change): try new.write(change)
            }
        }
        try new.flush()
        try folder.put()
        isUnsynchronised = !pending.isEmpty
        newLength = new.length
        writer = consume new
        self.pending = nil
    }

    /// Stays with the old file for a while.
    mutating func giveUp(at uptime: UInt64) {
        pending = nil
        isToBeRewritten = true
        nextTry = uptime &+ Self.pause
    }
}
