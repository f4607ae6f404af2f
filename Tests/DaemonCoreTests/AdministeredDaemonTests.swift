// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Dispatch
import Glibc
import KnockEngine
import Logging
import Settings
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Wire

@testable import Control
@testable import DaemonCore
@testable import Linux
@testable import Program

/// A daemon without queues, whose targets are names without keys.
private final class MadeUpDaemon: AdministeredDaemon {
    let flags: DaemonFlags<ClientSettings>
    let logger: Logger
    let registry = KeyRegistry()
    let identity: Identity? = nil
    let administration = DispatchQueue(label: "administration")
    let watchers = WatchBoard { _ in }
    let control: ControlSocket? = nil
    let protection = Mutex<Protection?>(nil)
    let looks = Mutex(0)
    let inForce: Mutex<(settings: ClientSettings, roster: [String])>

    init(_ arguments: [String], _ lines: LineCollector) throws {
        flags = try DaemonFlags<ClientSettings>.parse(arguments)
        logger = Logger(label: "test") { _ in lines }
        inForce = Mutex((try flags.settings(), []))
    }

    var settings: ClientSettings { inForce.withLock { $0.settings } }

    func roster(_ settings: ClientSettings) throws(FatalError) -> [String] {
        guard settings.keyFile != "/missing" else { throw FatalError("no such key", status: .noInput) }
        return settings.targets.map { "\($0.host)" }
    }

    func adopt(_ settings: ClientSettings, _ roster: [String]) throws(FatalError) -> String {
        guard settings.mask != .windowed else { throw FatalError("not that mask", status: .unavailable) }
        inForce.withLock { $0 = (settings, roster) }
        return "now \(roster.joined(separator: " "))"
    }

    func take(_ event: Event) {}
    func doChores() {}
    func freshen() { looks.withLock { $0 += 1 } }
    func noteReload() -> String? { protection.withLock(\.self)?.line }

    func statusReport() -> StatusReport {
        StatusReport(
            program: "made-up", partyLabel: "target", started: SystemClock.now(), now: SystemClock.now(), queues: [],
            counters: Counters(), handshakes: 7, parties: [], connections: [], unrecorded: 0, lockedOut: nil,
            usedCodes: nil, kernelFilter: nil, protection: protection.withLock(\.self), rulesLost: nil)
    }

    func locks(_ form: ControlRequest.Form) -> ControlAnswer { .done("locks \(form.rawValue)") }
    func unlock(_ address: IPAddress) -> ControlAnswer { .failed(.wrongData, "not \(address)") }
}

@Suite("What both daemons do when they are asked") struct AdministeredDaemonTests {
    private let folder: TemporaryFolder
    private let lines = LineCollector()

    init() throws { folder = try TemporaryFolder() }

    private func daemon(_ text: String) throws -> MadeUpDaemon {
        try MadeUpDaemon(["--config", write(text).string], lines)
    }

    @discardableResult
    private func write(_ text: String) throws -> FilePath { try folder.write("f.toml", Array(text.utf8)) }

    private static let target = "[[target]]\nhost = \"192.0.2.1\"\nkey_file = \"/k\"\n"

    @Test("A configuration that has changed, and what of it must wait") func reload() throws {
        let daemon = try daemon("queue_num = 1\nuser = \"a\"\n")
        try write("queue_num = 2\nuser = \"b\"\nisn_mask = \"full\"\n\(Self.target)")
        let text =
            "configuration read again: now 192.0.2.1; changed only at the next start: user, queue_num"
        #expect(daemon.answer(.reload, .text) == .done(text + "\n"))
        #expect(lines.all == ["notice \(text) {}"])
        let settings = daemon.settings
        #expect(settings.queue == 1 && settings.user == "a" && settings.mask == .full)
        // Once more: what waits is said again.
        #expect(daemon.answer(.reload, .json) == .done(text + "\n"))
        try write("queue_num = 1\nuser = \"a\"\n")
        #expect(daemon.answer(.reload, .text) == .done("configuration read again: now \n"))
    }

    @Test(
        "One that cannot be used leaves the old one in force",
        arguments: [
            ("murk = 1\n", .configuration, "murk"), ("key_file = \"/missing\"\n", .noInput, "no such key"),
            ("isn_mask = \"windowed\"\n", .unavailable, "not that mask"),
        ] as [(String, Linux.ExitStatus, String)])
    func refused(_ content: String, _ status: Linux.ExitStatus, _ reason: String) throws {
        let daemon = try daemon("queue_num = 1\n")
        let before = daemon.settings
        try write(content)
        guard case .failed(let number, let text) = daemon.answer(.reload, .text) else {
            Issue.record("taken over")
            return
        }
        #expect(number == status)
        #expect(text.hasPrefix("the old configuration stays in force:\n") && text.contains(reason))
        #expect(daemon.settings == before)
        #expect(lines.all.count == 1)
        #expect(lines.all.first?.hasPrefix("error configuration not read again, the old one stays in force: ") == true)
    }

    @Test("It is said beforehand that a reload would fail") func tryReload() throws {
        let daemon = try daemon("queue_num = 1\n")
        daemon.tryReload()
        #expect(lines.all.isEmpty)
        try write("key_file = \"/missing\"\n")
        daemon.tryReload()
        #expect(lines.all == ["warning a reload would fail: no such key {}"])
    }

    @Test("What is not protected, and what is not known, is an exit status of the status", arguments: [true, false])
    func protection(_ isKnown: Bool) throws {
        let daemon = try daemon("queue_num = 1\n")
        func set(_ knowledge: Protection.Knowledge) {
            daemon.protection.withLock { $0 = Protection(ports: [22], knowledge: knowledge) }
        }
        set(.looked([:], cure: "it"))
        guard case .done(let good) = daemon.answer(.status, .text) else {
            Issue.record("not done")
            return
        }
        #expect(good.hasPrefix("PROTECTED: port 22\nmade-up "))
        set(isKnown ? .looked([22: .missing], cure: "it") : .unknown("why"))
        for form in [ControlRequest.Form.text, .json] {
            guard case .doneBut(1, let text) = daemon.answer(.status, form) else {
                Issue.record("no exit status")
                continue
            }
            #expect(
                text.contains(isKnown ? "NOT PROTECTED: port 22: there are no" : "NOT KNOWN whether protected: why"))
        }
        guard case .done(let text) = daemon.answer(.reload, .text) else {
            Issue.record("not reloaded")
            return
        }
        #expect(text.split(separator: "\n").last?.hasPrefix(isKnown ? "NOT PROTECTED" : "NOT KNOWN") == true)
    }

    @Test func requests() throws {
        let daemon = try daemon("")
        #expect(daemon.answer(.locks, .json) == .done("locks json"))
        #expect(daemon.answer(.unlock(IPAddress(192, 0, 2, 9)), .text) == .failed(.wrongData, "not 192.0.2.9"))
        guard case .failed(.wrongProtocol, _) = daemon.answer(.watch, .text) else {
            Issue.record("watching is the control socket's to answer")
            return
        }
        guard case .done(let text) = daemon.answer(.status, .text),
            case .done(let json) = daemon.answer(.status, .json)
        else {
            Issue.record("no status")
            return
        }
        #expect(text.hasPrefix("made-up ") && text.contains("handshakes remembered: 7"))
        #expect(json.hasPrefix("{\"program\":\"made-up\",") && json.hasSuffix("}\n"))
        #expect(daemon.looks.withLock(\.self) == 2)
    }
}
