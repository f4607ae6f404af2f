// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KnockEngine
import KnockProtocol
import NetfilterQueue
import SystemPackage
import TestSupport
import Testing
import Wire

@testable import Daemon

@Suite("State file: how it is written anew") struct StateFileTests {
    private let files: TemporaryFolder
    private let folder: StateFolder

    init() throws {
        files = try TemporaryFolder()
        chmod(files.path.string, 0o700)
        folder = try StateFolder(files.path, name: "server-1", identity: nil)
    }

    private func writer() throws -> StateWriter {
        StateWriter(try folder.begin(), StateFormatTests.head, KeyRegistry())
    }

    private func records() throws -> [StateRecord] {
        let bytes = try #require(try folder.read())
        // What StateFormat reads is complete.
        return try StateFormat.parse(bytes).records
    }

    private static let lockout = SharedState.Entry.lockout(
        IPAddress(192, 0, 2, 1), Lockout(since: 1, until: 2, reason: .wrongAcknowledgment))
    private static let lockedOut = StateRecord.lockout(
        IPAddress(192, 0, 2, 1), Lockout(since: 1, until: 2, reason: .wrongAcknowledgment))

    @Test("What changes meanwhile is in the new file, and what changes then") func goesOn() throws {
        var file = StateFile()
        file.beginAnew()
        var new = try writer()
        try new.write(StateRecord.complete)
        try file.add([Self.lockout], isComplete: true, nil)
        #expect(try folder.read() == nil)
        try file.goOn(with: new, in: folder)
        #expect(try records() == [Self.lockedOut])
        try file.add([], isComplete: true, .ended(StateFormatTests.flow))
        #expect(try records() == [Self.lockedOut, .ended(StateFormatTests.flow)])
        let isDue = file.isDue(at: 0)
        // Some changes found no room: only a new file has them.
        try file.add([], isComplete: false, nil)
        let isDueThen = file.isDue(at: 0)
        #expect(!isDue && isDueThen)
    }

    @Test("The disk is waited for once after a change") func synchronising() throws {
        var file = StateFile()
        file.beginAnew()
        try file.goOn(with: try writer(), in: folder)
        let before = file.descriptorToSynchronise()
        try file.add([Self.lockout], isComplete: true, nil)
        let descriptor = file.descriptorToSynchronise()
        let after = file.descriptorToSynchronise()
        #expect(before == -1 && descriptor >= 0 && after == -1)
        try FileDescriptor(rawValue: descriptor).close()
    }

    @Test("Too many changes for a new file: it is tried again later") func tooMany() throws {
        var file = StateFile()
        file.beginAnew()
        let new = try writer()
        try file.add(Array(repeating: Self.lockout, count: 100_001), isComplete: true, nil)
        var error: SystemError?
        do throws(SystemError) { try file.goOn(with: new, in: folder) } catch let failure { error = failure }
        #expect(error?.description.contains("too many changes") == true)
        #expect(try folder.read() == nil)
        file.giveUp(at: 500)
        let due = [10_499, 10_500].map { file.isDue(at: $0) }
        #expect(due == [false, true])
    }

    @Test("A file that has grown is due") func growth() throws {
        var file = StateFile()
        file.beginAnew()
        try file.goOn(with: try writer(), in: folder)
        while !file.isDue(at: 0) {
            try file.add(Array(repeating: Self.lockout, count: 1000), isComplete: true, nil)
            try #require(try folder.read()?.count ?? 0 < 2 << 20)
        }
        #expect(try folder.read()?.count ?? 0 > 1 << 20)
    }
}
