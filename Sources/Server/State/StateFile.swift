// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KnockEngine
internal import Linux

/// The state file to which changes are appended, and its replacement by a new one.
///
/// While the new file is being written, changes are appended to both.
///
/// A used code takes 32 bytes in a new file, plus the checksum of a record if it is appended on its own. A file for 2.6
/// million codes grows to at most 200 MB. A new one has about half that length.
struct StateFile: ~Copyable {
    /// The file is rewritten when it has reached twice its original length plus this many bytes.
    private static let growth = 1 << 20
    /// The time to wait after a failure, in milliseconds.
    private static let pause: UInt64 = 10_000

    /// The writer of the current file; nil while nothing can be written.
    private var writer: StateWriter?
    /// The writer of the new file; nil while none is being written.
    private var new: StateWriter?
    /// The error because of which the new file was given up.
    private var obstacle: SystemError?
    private var isToBeRewritten = false
    private var isUnsynchronised = false
    /// The length of the file when it was new, in bytes.
    private var newLength = 0
    private var nextTry: UInt64 = 0

    /// Appends changes and hands them to the system.
    ///
    /// - Parameters:
    ///   - entries: The changes in the engines.
    ///   - isComplete: Whether `entries` contains all changes.
    ///   - change: The opening or the end of a connection.
    /// - Throws: The system's error. The file is then intact except for its last record, and is not written again until
    ///   it is replaced.
    mutating func add(
        _ entries: [SharedState.Entry], isComplete: Bool, _ change: ConnectionChange?
    ) throws(SystemError) {
        if !isComplete { isToBeRewritten = true }
        do throws(SystemError) {
            // The new file is handed to the system when it is complete.
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

    /// Duplicates the descriptor of the file, so that the caller can wait for the disk while writing goes on.
    ///
    /// - Returns: The descriptor, to be closed by the caller; -1 if everything is on the disk, as far as is known.
    mutating func descriptorToSynchronise() -> Int32 {
        guard isUnsynchronised else { return -1 }
        isUnsynchronised = false
        return writer?.duplicate() ?? -1
    }

    // MARK: Rewriting

    /// Returns whether the file should be rewritten now.
    ///
    /// `uptime` is in milliseconds.
    func isDue(at uptime: UInt64) -> Bool {
        let length =
            switch writer {
            case .some(let writer): writer.length
            case .none: 0
            }
        return (length > 2 * newLength + Self.growth || isToBeRewritten) && uptime >= nextTry
    }

    /// Begins a new file.
    ///
    /// Changes from now on are appended to it as well.
    mutating func beginAnew(_ new: consuming StateWriter) {
        self.new = consume new
        obstacle = nil
        isToBeRewritten = false
    }

    /// Adds part of the current state to the new file.
    ///
    /// The state must be current: no change may be appended between reading it and this call.
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

    /// Completes the part of the new file that holds the state, before changes are appended.
    ///
    /// - Returns: A descriptor for waiting for the disk, to be closed by the caller.
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

    /// Replaces the current file with the new one.
    ///
    /// - Parameter folder: The folder in which the new file is renamed.
    /// - Throws: The reason why it cannot be used. Call `giveUp` in that case.
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

    /// Discards the new file, and keeps the current one until the next attempt.
    mutating func giveUp(at uptime: UInt64) {
        new = nil
        isToBeRewritten = true
        nextTry = uptime &+ Self.pause
    }
}
