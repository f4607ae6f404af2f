// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Doctor

@Suite("The filter in the kernel, and its folder") struct KernelFilterCheckTests {
    private static let folder = "/sys/fs/bpf/tcpknock/1-100"
    private static let program = folder + "/syn_code"

    /// A host on which the server's daemon runs, with rules that name this file of the kernel filter.
    private func host(note: String? = nil) -> MadeUpHost {
        var made = MadeUpHost()
        made.run(77, "tcpknock-server")
        let parts = note?.split(separator: ":").map(String.init) ?? []
        made.putRules(
            ["kernel_filter": "\"\(parts.first ?? "")\"", "kernel_filter_inode": parts.count > 1 ? parts[1] : "null"])
        return made
    }

    private func finding(_ made: MadeUpHost) -> Finding? { KernelFilterCheck.run(made.examination()).first }

    @Test("Rules that hold the program, or an old one, or none") func rules() {
        var made = host(note: "\(Self.program):42")
        #expect(finding(made)?.found.contains("no longer pinned") == true)
        made.statuses[Self.program] = FileStatus(kind: .file, permissions: 0o600, inode: 42)
        #expect(finding(made)?.severity == .ok)
        made.statuses[Self.program] = FileStatus(kind: .file, permissions: 0o600, inode: 43)
        #expect(finding(made)?.found.contains("hold an old program") == true)
        made.refused = [Self.program]
        #expect(finding(made)?.severity == .note)
        #expect(finding(host(note: "of no file"))?.found == "the rules name no file of the kernel filter")
        #expect(finding(host(note: "of no file"))?.severity == .warning)
    }

    @Test("A program that was attached, and is no longer") func links() {
        let hook = Self.program + "_hook"
        var made = host(note: "\(hook):42")
        made.statuses[hook] = FileStatus(kind: .file, permissions: 0o600, inode: 42)
        made.statuses[Self.folder + "/link-ipv4"] = FileStatus(kind: .file, permissions: 0o600)
        #expect(finding(made)?.found.contains("link-ipv6 is missing") == true)
        #expect(finding(made)?.severity == .warning)
        made.statuses[Self.folder + "/link-ipv6"] = FileStatus(kind: .file, permissions: 0o600)
        #expect(finding(made)?.severity == .note)
        #expect(finding(made)?.found.contains("there is no gate behind it") == true)
        made.statuses[Self.folder + "/syn_code_gate"] = FileStatus(kind: .file, permissions: 0o600)
        for name in ["link-in-ipv4", "link-in-ipv6", "link-forward-ipv4", "link-forward-ipv6"] {
            #expect(finding(made)?.severity == .warning)
            #expect(finding(made)?.found.contains("(\(Self.folder)/\(name) is missing)") == true)
            made.statuses["\(Self.folder)/\(name)"] = FileStatus(kind: .file, permissions: 0o600)
        }
        #expect(finding(made)?.severity == .ok)
        made = host()
        made.statuses[Self.folder + "/link-forward-ipv4"] = FileStatus(kind: .file, permissions: 0o600)
        #expect(finding(made)?.found.contains("the rules that it came with are gone") == true)
        made = host()
        made.statuses[Self.folder + "/link-ipv4"] = FileStatus(kind: .file, permissions: 0o600)
        #expect(finding(made)?.found.contains("the rules that it came with are gone") == true)
    }

    @Test("Rules without the program") func unused() {
        var made = host()
        #expect(finding(made)?.found.contains("no BPF file system") == true)
        made.files["/proc/self/mounts"] = "bpf /sys/fs/bpf bpf rw 0 0\n"
        #expect(finding(made)?.severity == .ok)
        made.refused = [Self.program]
        #expect(finding(made)?.found == "could not look at /sys/fs/bpf/tcpknock")
        made.refused = []
        made.statuses[Self.program] = FileStatus(kind: .file, permissions: 0o600)
        #expect(finding(made)?.found.contains("the rules do not use it") == true)
        made.folders["/proc"] = []
        #expect(finding(made)?.found.contains("is left over") == true)
        #expect(KernelFilterCheck.run(made.examination(DoctorSubject(.client))).isEmpty)
    }

    @Test("The folder of its keys") func keys() {
        var made = host()
        made.statuses[Self.folder] = FileStatus(kind: .folder, permissions: 0o700)
        #expect(FileCheck.run(made.examination()).map(\.severity) == [.ok])
        made.statuses[Self.folder] = FileStatus(kind: .folder, permissions: 0o750)
        #expect(FileCheck.run(made.examination()).map(\.cure) == ["chmod 700 \(Self.folder)"])
        #expect(FileCheck.run(made.examination(DoctorSubject(.client))).map(\.severity) == [.ok])
    }
}
