// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Linux
import SystemPackage
import Testing

@Suite struct FatalErrorTests {
    @Test(
        "The text is place, finding and cure, as far as there are any",
        arguments: [
            (nil, nil, "it broke"), ("/f", nil, "/f: it broke"), (nil, "mend it", "it broke; mend it"),
            ("/f", "mend it", "/f: it broke; mend it"),
        ] as [(String?, String?, String)])
    func text(_ place: String?, _ cure: String?, _ text: String) {
        let error = FatalError("it broke", at: place, cure: cure, status: .software)
        #expect(error.description == text)
        #expect((error.finding, error.place, error.cure) == ("it broke", place, cure))
        #expect(error.at("there").description == "there: it broke" + (cure.map { "; \($0)" } ?? ""))
    }

    @Test("Several problems have a line each, and one status") func several() {
        let first = FatalError("a", at: "/a", status: .noInput)
        let second = FatalError("b", cure: "mend b", status: .usage)
        let two = FatalError([first, second], status: .configuration)
        let all = FatalError([two, FatalError("c", status: .software)], status: .configuration)
        #expect(all.description == "/a: a\nb; mend b\nc")
        #expect(all.problems.map(\.finding) == ["a", "b", "c"])
        #expect(all.problems.allSatisfy { $0.status == .configuration && $0.problems == [$0] })
        #expect(all.status == .configuration)
    }

    @Test(
        "A system call on a file",
        arguments: [
            ("open", .noSuchFileOrDirectory, .noInput), ("open", .permissionDenied, .noPermission),
            ("create", .notPermitted, .noPermission), ("create", .noSuchFileOrDirectory, .cannotCreate),
            ("mkdir", .readOnlyFileSystem, .cannotCreate), ("read", .ioError, .inputOutput),
            ("rename", .noSuchFileOrDirectory, .inputOutput),
        ] as [(String, Errno, Linux.ExitStatus)])
    func systemCall(_ call: String, _ errno: Errno, _ status: Linux.ExitStatus) {
        let error = FatalError(call, errno, at: "/f")
        #expect(error.status == status)
        #expect(error.description == "/f: \(call): \(errno)")
    }

    @Test("What is thrown below becomes what a program ends with") func fatally() throws {
        #expect(try Linux.fatally { () throws(SystemError) in 7 } == 7)
        #expect(throws: FatalError("open: No such file or directory", status: .system)) {
            try Linux.fatally { () throws(SystemError) in throw SystemError("open", ENOENT) }
        }
    }

    @Test("The statuses are those of sysexits.h") func statuses() {
        let expected: [(Linux.ExitStatus, Int32)] = [
            (.usage, EX_USAGE), (.wrongData, EX_DATAERR), (.noInput, EX_NOINPUT), (.noUser, EX_NOUSER),
            (.noHost, EX_NOHOST), (.unavailable, EX_UNAVAILABLE), (.software, EX_SOFTWARE), (.system, EX_OSERR),
            (.cannotCreate, EX_CANTCREAT), (.inputOutput, EX_IOERR), (.tryLater, EX_TEMPFAIL),
            (.wrongProtocol, EX_PROTOCOL), (.noPermission, EX_NOPERM), (.configuration, EX_CONFIG),
        ]
        for (status, number) in expected { #expect(status.rawValue == number) }
    }
}
