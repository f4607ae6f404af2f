// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KnockEngine
import KnockProtocol
import Linux
import SystemPackage
import TestSupport
import Testing
import Wire

@testable import DaemonCore
@testable import Server

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
        let file = try #require(try folder.openFile())
        defer { try? file.close() }
        var input = StateFolder.input(file)
        // What StateFormat reads is complete.
        return try StateFormatTests.parse(&input).records
    }

    /// How long the file is; nil if there is none.
    private func length() throws -> Int64? {
        guard let file = try folder.openFile() else { return nil }
        defer { try? file.close() }
        return try file.seek(offset: 0, from: .end)
    }

    /// Begins a new file, and completes it.
    private func complete(_ file: inout StateFile, _ entries: [SharedState.Entry] = []) throws {
        file.beginAnew(try writer())
        try file.addToNew(entries)
        try FileDescriptor(rawValue: try file.completeNew()).close()
    }

    private static let lockout = SharedState.Entry.lockout(
        .init(IPAddress(192, 0, 2, 1), nil), Lockout(since: 1, until: 2, reason: .wrongAcknowledgment))
    private static let lockedOut = StateRecord.lockout(
        IPAddress(192, 0, 2, 1), party: nil, Lockout(since: 1, until: 2, reason: .wrongAcknowledgment))

    @Test("What changes meanwhile is in the new file, and what changes then") func goesOn() throws {
        var file = StateFile()
        file.beginAnew(try writer())
        try file.add([Self.lockout], isComplete: true, nil)
        try file.addToNew([Self.lockout])
        try FileDescriptor(rawValue: try file.completeNew()).close()
        try file.add([], isComplete: true, .ended(StateFormatTests.flow))
        #expect(try length() == nil)
        try file.goOn(in: folder)
        #expect(try records() == [Self.lockedOut, Self.lockedOut, .ended(StateFormatTests.flow)])
        try file.add([], isComplete: true, .ended(StateFormatTests.flow))
        #expect(try records().count == 4)
        let isDue = file.isDue(at: 0)
        // Some changes found no room: only a new file has them.
        try file.add([], isComplete: false, nil)
        let isDueThen = file.isDue(at: 0)
        #expect(!isDue && isDueThen)
    }

    @Test("Used codes share records, and are all handed over with what comes after them") func manyCodes() throws {
        var file = StateFile()
        let registry = KeyRegistry()
        let key = registry.id(of: "alice", fingerprint: "f")
        file.beginAnew(StateWriter(try folder.begin(), StateFormatTests.head, registry))
        let entries = (0..<300).map { number in
            let handshake = Handshake(clientAddress: IPAddress(ipv4: 1), clientISN: UInt32(number))
            return SharedState.Entry.usedCode(UsedCode(handshake: handshake, key: key), deadline: 5)
        }
        try file.addToNew(entries)
        try FileDescriptor(rawValue: try file.completeNew()).close()
        try file.goOn(in: folder)
        try file.add([entries[0]], isComplete: true, .ended(StateFormatTests.flow))
        let counts = try records().map { record in
            if case .usedCodes(let codes) = record { codes.count } else { 0 }
        }
        #expect(counts == [0, 128, 128, 44, 0, 1], "behind the guest, and the end of a connection among them")
    }

    @Test("The disk is waited for once after a change") func synchronising() throws {
        var file = StateFile()
        try complete(&file)
        try file.goOn(in: folder)
        let first = file.descriptorToSynchronise()
        try FileDescriptor(rawValue: first).close()
        let before = file.descriptorToSynchronise()
        try file.add([Self.lockout], isComplete: true, nil)
        let descriptor = file.descriptorToSynchronise()
        let after = file.descriptorToSynchronise()
        #expect(before == -1 && descriptor >= 0 && after == -1)
        try FileDescriptor(rawValue: descriptor).close()
    }

    @Test("A new file that cannot be written: the old one stays, and it is tried again later") func full() throws {
        var file = StateFile()
        try complete(&file)
        try file.goOn(in: folder)
        // The kernel lets nothing be written there.
        let full = try FileDescriptor.open("/dev/full", .writeOnly)
        file.beginAnew(StateWriter(full.rawValue, StateFormatTests.head, KeyRegistry()))
        try file.add(Array(repeating: Self.lockout, count: 5000), isComplete: true, nil)
        var error: SystemError?
        do throws(SystemError) { try file.addToNew([]) } catch let failure { error = failure }
        #expect(error == SystemError("write", ENOSPC))
        file.giveUp(at: 500)
        let due = [10_499, 10_500].map { file.isDue(at: $0) }
        #expect(due == [false, true])
        #expect(try records().count == 5000)
    }

    @Test("A file that has grown is due") func growth() throws {
        var file = StateFile()
        try complete(&file)
        try file.goOn(in: folder)
        while !file.isDue(at: 0) {
            try file.add(Array(repeating: Self.lockout, count: 1000), isComplete: true, nil)
            try #require(try length() ?? 0 < 2 << 20)
        }
        #expect(try length() ?? 0 > 1 << 20)
    }
}
