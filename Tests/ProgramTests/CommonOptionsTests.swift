// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Glibc
import KnockProtocol
import Linux
import Logging
import Settings
import SystemPackage
import TestSupport
import Testing

@testable import Program

@Suite struct CommonOptionsTests {
    private static func settings(_ arguments: [String]) throws -> ServerSettings {
        try DaemonFlags<ServerSettings>.parse(["--config", ""] + arguments).settings()
    }

    @Test func defaults() throws {
        let settings = try Self.settings([])
        #expect(settings.effectiveGuests.map(\.keyFile) == ["/etc/port_protector.dat"])
        #expect(settings.targetPorts == [22])
        #expect(!settings.noTime)
        #expect(settings.logLevel == .info)
        #expect(settings.logFormat == .text)
        #expect(settings.logTarget == .stderr)
    }

    @Test("Both spellings", arguments: ["-", "_"])
    func spellings(_ joint: String) throws {
        let settings = try Self.settings([
            "--key\(joint)file", "/k", "--target\(joint)port", "22", "--target\(joint)port", "443", "--no\(joint)time",
            "--log\(joint)level", "debug", "--log\(joint)format", "json",
            "--log\(joint)target", "syslog",
        ])
        #expect(settings.effectiveGuests.map(\.keyFile) == ["/k"])
        #expect(settings.targetPorts == [22, 443])
        #expect(settings.noTime)
        #expect(settings.logLevel == .debug)
        #expect(settings.logFormat == .json)
        #expect(settings.logTarget == .syslog)
    }

    @Test(
        "What is refused",
        arguments: [
            ["--target-port", "0"], ["--target-port", "70000"], ["--target-port"], ["--log-level", "loud"],
            ["--log-format", "xml"], ["--log-target", "disk"],
            ["--unknown"], ["more"], ["--target-port", "22", "23"],
        ])
    func refused(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try DaemonFlags<ServerSettings>.parse(arguments) }
    }

    @Test("Levels", arguments: LogLevel.allCases)
    func logger(_ level: LogLevel) {
        var settings = ServerSettings()
        settings.logLevel = level
        #expect(settings.logger("test").logLevel.rawValue == level.rawValue)
        #expect(settings.logger("test").label == "test")
    }

    @Test func readingKeys() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("key", Repository.read("keys/test-vector.dat"))
        #expect(try KeySchedule.read(path).fingerprint == TestKeys.published.fingerprint)
        #expect {
            try KeySchedule.read(folder.path.appending("none"))
        } throws: { error in
            let error = error as? FatalError
            return error?.status == .noInput && error?.description.contains("none: there is no such file") == true
        }
    }
}
