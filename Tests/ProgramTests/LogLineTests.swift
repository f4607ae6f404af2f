// SPDX-License-Identifier: GPL-2.0-or-later
import Foundation
import Logging
import Settings
import Testing

@testable import Program

@Suite("Lines of the log on standard error") struct LogLineTests {
    /// The lines among what a process wrote that this test is about.
    private static func lines(_ result: ExitTest.Result?) throws -> [String] {
        String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
            .split(separator: "\n").map(String.init).filter { $0.contains("marker") }
    }

    @Test func text() async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            let logger = Logger(label: "test") { _ in LogLineHandler(level: .info, format: .text) }
            logger.info(
                "marker one",
                metadata: [
                    "b": "2", "a": "1", "empty": "", "blank": "x y", "quote": "\"", "equal": "a=b", "line": "a\nb",
                ])
            logger.debug("marker not to be seen")
            logger.warning("marker two")
        }
        let lines = try Self.lines(result)
        try #require(lines.count == 2)
        let stamp = #/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /#
        #expect(
            lines[0].replacing(stamp, with: "")
                == #"INFO marker one a=1 b=2 blank="x y" empty="" equal="a=b" line="a\nb" quote="\"""#)
        #expect(lines[1].replacing(stamp, with: "") == "WARNING marker two")
        #expect(lines.allSatisfy { $0.prefixMatch(of: stamp) != nil })
    }

    @Test func json() async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            var logger = Logger(label: "test") { _ in LogLineHandler(level: .debug, format: .json) }
            logger[metadataKey: "always"] = "there"
            logger.error("marker \"one\"", metadata: ["a": "x\ny"])
            logger.debug("marker two", metadata: ["always": "other"])
        }
        let lines = try Self.lines(result)
        try #require(lines.count == 2)
        let objects = try lines.map { try JSONDecoder().decode([String: String].self, from: Data($0.utf8)) }
        #expect(
            objects[0].filter { $0.key != "time" } == [
                "level": "error", "message": "marker \"one\"", "always": "there", "a": "x\ny",
            ])
        #expect(
            objects[1].filter { $0.key != "time" } == ["level": "debug", "message": "marker two", "always": "other"])
        #expect(objects.allSatisfy { $0["time"]?.wholeMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/#) != nil })
        // Time, level and message come first, for people.
        #expect(lines[0].hasPrefix(#"{"time":""#))
    }

    @Test("Whatever is logged stays on its line", arguments: LogFormat.allCases)
    func hostileText(_ format: LogFormat) async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            [name = format.rawValue as String] in
            let format = try #require(LogFormat(rawValue: name))
            let logger = Logger(label: "test") { _ in LogLineHandler(level: .info, format: format) }
            for value in 0...0x2100 {
                guard let scalar = Unicode.Scalar(value) else { continue }
                logger.info("marker \(Character(scalar)) message", metadata: ["value": "\(Character(scalar))x"])
            }
        }
        let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        let lines = text.unicodeScalars.split(separator: "\n").filter { String($0).contains("marker") }
        #expect(lines.count == 0x2101)
        #expect(lines.allSatisfy { $0.suffix(3).contains("x") })
        // General category Cc and the separators of lines and paragraphs.
        #expect(
            lines.allSatisfy { line in
                line.allSatisfy {
                    ![.control, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory)
                }
            })
    }

    @Test func journal() async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            let logger = Logger(label: "test") { _ in LogLineHandler(level: .debug, format: .journal) }
            for level in LogLevel.allCases { logger.log(level: level.level, "marker", metadata: ["a": "b c"]) }
        }
        let lines = try Self.lines(result)
        #expect(
            lines == [
                #"<7>DEBUG marker a="b c""#, #"<6>INFO marker a="b c""#, #"<5>NOTICE marker a="b c""#,
                #"<4>WARNING marker a="b c""#, #"<3>ERROR marker a="b c""#,
            ])
    }

    @Test("Levels let through themselves and what is worse", arguments: LogLevel.allCases)
    func levels(_ level: LogLevel) {
        let handler = LogLineHandler(level: level, format: .text)
        #expect(handler.logLevel == level.level)
        #expect(level.level.rawValue == level.rawValue)
    }

    @Test func valuesOfTheHandler() {
        var handler = LogLineHandler(level: .info, format: .text)
        #expect(handler[metadataKey: "a"] == nil)
        handler[metadataKey: "a"] = "1"
        #expect(handler[metadataKey: "a"] == "1")
        #expect(handler.metadata == ["a": "1"])
    }
}
