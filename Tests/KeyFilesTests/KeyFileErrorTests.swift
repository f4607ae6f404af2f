// SPDX-License-Identifier: GPL-2.0-or-later
import KeyFiles
import Linux
import SystemPackage
import Testing

@Suite struct KeyFileErrorTests {
    @Test(
        "What people read names the path and what to do",
        arguments: [
            (.system(call: "open", path: "/k", .noSuchFileOrDirectory), ["/k", "no such file", "keygen /k", "copy"]),
            (.system(call: "read", path: "/k", .noSuchFileOrDirectory), ["/k", "read: "]),
            (.system(call: "open", path: "/k", .permissionDenied), ["/k", "open: ", "Permission denied"]),
            (.notARegularFile("/k"), ["/k", "not a regular file", "65536"]),
            (.foreign("/k", owner: 1000), ["/k", "user 1000", "chown root /k", "new one"]),
            (.accessibleByOthers("/k", mode: 0o644), ["/k", "mode 0644", "chmod 600 /k", "new one"]),
            (.wrongLength("/k", 12), ["/k", "12 bytes", "65536", "copied completely"]),
            (.notRandom("/k"), ["/k", "the same", "keygen"]),
            (.system(call: "create", path: "/k", .noSuchFileOrDirectory), ["/k", "folder", "does not exist"]),
            (.alreadyExists("/k"), ["/k", "exists already", "--force"]),
            (.notSynchronised("/k", .ioError), ["/k", "in place", "power failure", "Input/output error"]),
            (.system(call: "getrandom", path: "", .noMemory), ["no randomness"]),
            (.outOfMemory, ["no memory"]),
        ] as [(KeyFileError, [String])])
    func descriptions(_ error: KeyFileError, _ parts: [String]) {
        for part in parts { #expect(error.description.contains(part)) }
        #expect(!error.description.contains("\n"))
    }

    @Test(
        "Each has a status of sysexits.h",
        arguments: [
            (.system(call: "open", path: "/k", .noSuchFileOrDirectory), .noInput),
            (.system(call: "open", path: "/k", .permissionDenied), .noPermission),
            (.system(call: "open", path: "/k", .notPermitted), .noPermission),
            (.system(call: "open", path: "/k", .notDirectory), .inputOutput),
            (.system(call: "write", path: "/k", .noSpace), .inputOutput),
            (.system(call: "rename", path: "/k", .noSuchFileOrDirectory), .inputOutput),
            (.accessibleByOthers("/k", mode: 0o644), .noPermission), (.foreign("/k", owner: 1), .noPermission),
            (.notARegularFile("/k"), .wrongData),
            (.wrongLength("/k", 1), .wrongData),
            (.notRandom("/k"), .wrongData),
            (.system(call: "create", path: "/k", .noSuchFileOrDirectory), .cannotCreate),
            (.system(call: "create", path: "/k", .notDirectory), .cannotCreate),
            (.system(call: "create", path: "/k", .permissionDenied), .noPermission),
            (.alreadyExists("/k"), .cannotCreate),
            (.notSynchronised("/k", .ioError), .inputOutput),
            (.outOfMemory, .system),
        ] as [(KeyFileError, Linux.ExitStatus)])
    func status(_ error: KeyFileError, _ status: Linux.ExitStatus) {
        #expect(error.fatal.status == status)
    }
}
