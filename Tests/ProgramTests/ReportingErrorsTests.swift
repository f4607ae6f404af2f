// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Linux
import Logging
import Program
import TestSupport
import Testing

@Suite struct ReportingErrorsTests {
    @Test func whatGoesWellIsHandedOn() throws {
        #expect(try reportingErrors(of: "test") { () throws(FatalError) in 7 } == 7)
    }

    @Test func anErrorGoesToStandardErrorAndBecomesTheStatus() async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            #expect(throws: ExitCode(Linux.ExitStatus.wrongData.rawValue)) {
                try reportingErrors(of: "test") { () throws(FatalError) in
                    throw FatalError("it broke", status: .wrongData)
                }
            }
        }
        let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        #expect(text.contains("test: it broke\n"))
    }

    @Test("The log has a line for each problem, with its place and cure as values") func log() {
        let lines = LineCollector()
        let logger = Logger(label: "test") { _ in lines }
        let first = FatalError("it broke", at: "/f", cure: "mend it", status: .noInput)
        logger.log(.warning, "no luck", FatalError([first, FatalError("so did that", status: .usage)], status: .usage))
        logger.log(.error, "no file", SystemError("open", 2))
        #expect(
            lines.all == [
                "warning no luck: it broke {cure=mend it place=/f}", "warning no luck: so did that {}",
                "error no file: open: No such file or directory {}",
            ])
    }
}
