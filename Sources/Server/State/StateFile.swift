// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KnockEngine
internal import Linux

/// The state file to which changes are added, and how a new one takes its place: what changes while that is written is
/// added to both.
///
/// With 32 bytes for a used code in a new file, and the checksum of a record for each code that comes by itself, a file
/// has 200 MB at most for 2.6 million codes, of which about half is a new one.
struct StateFile: ~Copyable {
    /// A file may grow by this, and to twice its length, until it is written anew; in bytes.
    private static let growth = 1 << 20
    /// How long to wait after a failure, in milliseconds.
    private static let pause: UInt64 = 10_000

    /// nil while nothing can be written.
    private var writer: StateWriter?
    /// The new file; nil while none is written.
    private var new: StateWriter?
    /// Why the new file is not to be, when it is not.
    private var obstacle: SystemError?
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
        do throws(SystemError) {
            // It is handed to the system when the new file is complete.
            for entry in entries { try new?.write(entry) }
            if let change { try new?.write(change) }
        } catch {
            giveUpNew(error)
        }
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
        return (length > 2 * newLength + Self.growth || isToBeRewritten) && uptime >= nextTry
    }

    /// Begins a new file; what changes from now on is added to it.
    mutating func beginAnew(_ new: consuming StateWriter) {
        self.new = consume new
        obstacle = nil
        isToBeRewritten = false
    }

    /// Adds to the new file some of what there is.
    ///
    /// It must be what is so now: nothing may be added between the look at it and this.
    mutating func addToNew(
        _ entries: [SharedState.Entry], _ changes: [ConnectionChange] = []
    ) throws(SystemError) {
        do throws(SystemError) {
            for entry in entries { try new?.write(entry) }
            for change in changes { try new?.write(change) }
        } catch {
            giveUpNew(error)
        }
        if let obstacle { throw obstacle }
    }

    /// Ends the new file with all there was, before what comes.
    ///
    /// - Returns: Its descriptor, to be closed, for who waits for the disk.
    mutating func completeNew() throws(SystemError) -> Int32 {
        do throws(SystemError) {
            try new?.flush()
            try new?.write(StateRecord.complete)
            try new?.flush()
        } catch {
            giveUpNew(error)
        }
        if let obstacle { throw obstacle }
        return new?.duplicate() ?? -1
    }

    /// Goes on with the new file.
    ///
    /// - Parameter folder: Gives it its name.
    /// - Throws: Why it is not to be; `giveUp` then.
    mutating func goOn(in folder: StateFolder) throws(SystemError) {
        do throws(SystemError) { try new?.flush() } catch { giveUpNew(error) }
        if let obstacle { throw obstacle }
        guard let new = new.take() else { return }
        try folder.put()
        isUnsynchronised = true
        newLength = new.length
        writer = consume new
    }

    private mutating func giveUpNew(_ error: SystemError) {
        new = nil
        obstacle = error
    }

    /// Stays with the old file for a while.
    mutating func giveUp(at uptime: UInt64) {
        new = nil
        isToBeRewritten = true
        nextTry = uptime &+ Self.pause
    }
}
