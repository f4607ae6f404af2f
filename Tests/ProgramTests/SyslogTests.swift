// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Logging
import Settings
import SystemPackage
import TestSupport
import Testing

@testable import Program

/// A socket that stands where the syslog daemon's would be.
private final class SyslogStandIn {
    private let descriptor: Int32

    init(_ path: String) throws {
        unlink(path)
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
    }

    deinit { close(descriptor) }

    /// The next line that has arrived; nil if there is none.
    func next() -> String? {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
    }
}

@Suite struct SyslogTests {
    private let folder: TemporaryFolder
    private var path: String { folder.path.appending("log").string }

    init() throws {
        folder = try TemporaryFolder()
    }

    @Test("Lines are what syslog(3) sends", arguments: LogFormat.allCases)
    func lines(_ format: LogFormat) throws {
        let daemon = try SyslogStandIn(path)
        let syslog = Syslog(program: "tcpknock-server", path: FilePath(path))
        let logger = Logger(label: "x") { _ in LogLineHandler(level: .debug, format: format, syslog: syslog) }
        logger.warning("locked\nout", metadata: ["client": "192.0.2.1:5"])
        logger.debug("more")
        let line = try #require(daemon.next())
        let head = #/^<28>[A-Z][a-z]{2} [ 1-3][0-9] \d\d:\d\d:\d\d tcpknock-server\[(\d+)\]: /#
        let match = try #require(line.prefixMatch(of: head))
        #expect(match.1 == "\(getpid())")
        let rest = line[match.range.upperBound...]
        if format == .json {
            #expect(rest.hasPrefix(#"{"time":""#))
            #expect(rest.hasSuffix(#""level":"warning","message":"locked\nout","client":"192.0.2.1:5"}"#))
        } else {
            #expect(rest == #"WARNING locked\nout client=192.0.2.1:5"#)
        }
        #expect(daemon.next()?.hasPrefix("<31>") == true)
        #expect(daemon.next() == nil)
    }

    @Test("Each level has the priority of syslog(3)")
    func priorities() throws {
        let daemon = try SyslogStandIn(path)
        let syslog = Syslog(program: "x", path: FilePath(path))
        var handler = LogLineHandler(level: .debug, format: .text, syslog: syslog)
        handler.logLevel = .trace
        let logger = Logger(label: "x") { [handler] _ in handler }
        for level in Logger.Level.allCases { logger.log(level: level, "x") }
        let heads = Logger.Level.allCases.map { _ in daemon.next()?.prefix(4) }
        #expect(heads == ["<31>", "<31>", "<30>", "<29>", "<28>", "<27>", "<26>"])
    }

    @Test("A syslog daemon that was started again is found, and told what it missed")
    func restart() throws {
        var daemon: SyslogStandIn? = try SyslogStandIn(path)
        let syslog = Syslog(program: "x", path: FilePath(path))
        syslog.write("one", .notice)
        #expect(daemon?.next()?.hasSuffix(": one") == true)
        // At once, while the old socket is connected still.
        daemon = try SyslogStandIn(path)
        syslog.write("two", .notice)
        #expect(daemon?.next()?.hasSuffix(": two") == true)
        // And after a time without.
        daemon = nil
        unlink(path)
        syslog.write("three", .notice)
        syslog.write("four", .notice)
        daemon = try SyslogStandIn(path)
        syslog.write("five", .notice)
        #expect(daemon?.next()?.hasSuffix(": WARNING log lines were lost count=2") == true)
        #expect(daemon?.next()?.hasSuffix(": five") == true)
        #expect(daemon?.next() == nil)
    }

    @Test("A syslog daemon that does not read is not waited for", .timeLimit(.minutes(1)))
    func overflow() throws {
        let daemon = try SyslogStandIn(path)
        let syslog = Syslog(program: "x", path: FilePath(path))
        for _ in 0..<5000 { syslog.write(String(repeating: "x", count: 1000), .notice) }
        var taken = 0
        while daemon.next() != nil { taken += 1 }
        #expect(taken > 0 && taken < 5000)
        syslog.write("after", .notice)
        #expect(daemon.next()?.hasSuffix("lost count=\(5000 - taken)") == true)
        #expect(daemon.next()?.hasSuffix(": after") == true)
    }

    @Test("Long lines are cut off")
    func longLine() throws {
        let daemon = try SyslogStandIn(path)
        Syslog(program: "x", path: FilePath(path)).write(String(repeating: "x", count: 1_000_000), .notice)
        #expect(daemon.next()?.utf8.count == 8192)
    }

    @Test("That there is no syslog daemon is said once")
    func missing() async throws {
        let path = path
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            [path = path as String] in
            for place in [path, String(repeating: "x", count: 200)] {
                let syslog = Syslog(program: "program", path: FilePath(place))
                for _ in 0..<3 { syslog.write("text", .notice) }
            }
        }
        let lines = String(decoding: try #require(result).standardErrorContent, as: UTF8.self).split(separator: "\n")
            .filter { $0.hasPrefix("program[") }
        #expect(lines.count == 2)
        #expect(lines.first?.contains("\(path): connect: No such file or directory; log lines are lost") == true)
        #expect(lines.last?.contains("File name too long") == true)
    }
}
