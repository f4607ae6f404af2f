// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Glibc
import KeyFiles
import KnockProtocol
import Linux
import Program
import SystemPackage
import Testing

@Suite struct FatalErrorTests {
    @Test(
        "Each error of a key file has a status of sysexits.h",
        arguments: [
            (.system(call: "open", path: "/k", .noSuchFileOrDirectory), EX_NOINPUT),
            (.system(call: "open", path: "/k", .permissionDenied), EX_NOPERM),
            (.system(call: "open", path: "/k", .notPermitted), EX_NOPERM),
            (.system(call: "open", path: "/k", .notDirectory), EX_IOERR),
            (.system(call: "write", path: "/k", .noSpace), EX_IOERR),
            (.system(call: "rename", path: "/k", .noSuchFileOrDirectory), EX_IOERR),
            (.accessibleByOthers("/k", mode: 0o644), EX_NOPERM), (.foreign("/k", owner: 1), EX_NOPERM),
            (.notARegularFile("/k"), EX_DATAERR),
            (.wrongLength("/k", 1), EX_DATAERR),
            (.notRandom("/k"), EX_DATAERR),
            (.system(call: "create", path: "/k", .noSuchFileOrDirectory), EX_CANTCREAT),
            (.system(call: "create", path: "/k", .notDirectory), EX_CANTCREAT),
            (.system(call: "create", path: "/k", .permissionDenied), EX_NOPERM),
            (.alreadyExists("/k"), EX_CANTCREAT),
            (.notSynchronised("/k", .ioError), EX_IOERR),
            (.outOfMemory, EX_OSERR),
        ] as [(KeyFileError, Int32)])
    func keyFile(_ error: KeyFileError, _ status: Int32) {
        #expect(FatalError(error).status == status)
        #expect(FatalError(error).description == error.description)
    }

    @Test func whatGoesWellIsHandedOn() throws {
        #expect(try reportingErrors(of: "test") { () throws(FatalError) in 7 } == 7)
    }

    @Test func anErrorGoesToStandardErrorAndBecomesTheStatus() async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            #expect(throws: ExitCode(EX_DATAERR)) {
                try reportingErrors(of: "test") { () throws(FatalError) in
                    throw FatalError("it broke", status: EX_DATAERR)
                }
            }
        }
        let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        #expect(text.contains("test: it broke\n"))
    }
}
