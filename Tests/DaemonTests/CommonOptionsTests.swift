// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon
import Glibc
import KnockProtocol
import Logging
import NetfilterQueue
import SystemPackage
import TestSupport
import Testing

@Suite struct CommonOptionsTests {
    @Test func defaults() throws {
        let options = try CommonOptions.parse([])
        #expect(options.keyFile == "/etc/port_protector.dat")
        #expect(options.targetPorts == [])
        #expect(options.effectiveTargetPorts == [22])
        #expect(!options.noTime)
        #expect(options.logLevel == .info)
        #expect(options.logFormat == .text)
        #expect(options.logTarget == .stderr)
    }

    @Test("Both spellings", arguments: ["-", "_"])
    func spellings(_ joint: String) throws {
        let options = try CommonOptions.parse([
            "--key\(joint)file", "/k", "--target\(joint)port", "22", "--target\(joint)port", "443", "--no\(joint)time",
            "--log\(joint)level", "debug", "--log\(joint)format", "json",
            "--log\(joint)target", "syslog",
        ])
        #expect(options.keyFile == "/k")
        #expect(options.effectiveTargetPorts == [22, 443])
        #expect(options.noTime)
        #expect(options.logLevel == .debug)
        #expect(options.logFormat == .json)
        #expect(options.logTarget == .syslog)
    }

    @Test(
        "What is refused",
        arguments: [
            ["--target-port", "0"], ["--target-port", "70000"], ["--target-port"], ["--log-level", "loud"],
            ["--log-format", "xml"], ["--log-target", "disk"],
            ["--unknown"], ["more"], ["--target-port", "22", "23"],
        ])
    func refused(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try CommonOptions.parse(arguments) }
    }

    @Test("Levels", arguments: LogLevel.allCases)
    func logger(_ level: LogLevel) throws {
        var options = try CommonOptions.parse([])
        options.logLevel = level
        #expect(options.logger("test").logLevel.rawValue == level.rawValue)
        #expect(options.logger("test").label == "test")
    }

    @Test func details() throws {
        var options = try CommonOptions.parse(["--target-port", "22", "--target-port", "443"])
        let one = options.details(queues: 100...100, keys: TestKeys.published)
        #expect(one["queue"] == "100")
        #expect(one["ports"] == "22,443")
        #expect(one["key"] == "4863-6dae-c3e5-ef0e-605e-7f7f-6c80-fce9")
        #expect(one["version"] == "\(version)")
        options.targetPorts = []
        let several = options.details(queues: 100...103, keys: TestKeys.published)
        #expect(several["queue"] == "100:103")
        #expect(several["ports"] == "22")
    }

    @Test func readingKeys() throws {
        let folder = try TemporaryFolder()
        var options = try CommonOptions.parse([])
        options.keyFile = try folder.write("key", Repository.read("keys/test-vector.dat")).string
        #expect(try options.readKeys().fingerprint == TestKeys.published.fingerprint)

        options.keyFile = folder.path.appending("none").string
        #expect {
            try options.readKeys()
        } throws: { error in
            let error = error as? FatalError
            return error?.status == EX_NOINPUT && error?.description.contains("none: there is no such file") == true
        }
    }

    @Test func bindingAQueueWithoutPrivileges() async {
        await #expect(processExitsWith: .success) {
            dropPrivileges()
            defer { regainPrivileges() }
            let options = try CommonOptions.parse([])
            #expect {
                _ = try options.bindQueue(54_321, Queue.Options())
            } throws: { error in
                let error = error as? FatalError
                return error?.status == EX_NOPERM && error?.description.contains("CAP_NET_ADMIN") == true
            }
        }
    }
}
