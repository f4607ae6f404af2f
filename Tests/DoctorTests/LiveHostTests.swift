// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KnockProtocol
import SystemPackage
import TestSupport
import Testing
import Wire

@testable import Doctor
@testable import KeyFiles

@Suite("What the real host says") struct LiveHostTests {
    @Test("A program that ends") func runs() {
        #expect(
            Host.runBounded(["sh", "-c", "echo a; echo b >&2; exit 3"])
                == .ended(status: 3, output: "a\n", errors: "b\n", isComplete: true))
        #expect(Host.runBounded(["echo", "$HOME; `id` *"]).output == "$HOME; `id` *\n", "there is no shell")
        #expect(Host.runBounded(["cat"]).output == "", "there is nothing to read")
    }

    @Test("A program that is ended by a signal has no good status") func signalled() {
        guard case .ended(let status, _, _, _) = Host.runBounded(["sh", "-c", "kill -9 $$"]) else {
            Issue.record("it did not end")
            return
        }
        #expect(status == -9)
    }

    @Test(
        "A program that is not there", arguments: [[], ["no-such-program-here"], ["/no/such/program"], ["/etc/passwd"]])
    func missing(_ words: [String]) {
        #expect(Host.runBounded(words) == .missing)
    }

    @Test("A program takes too long") func timeout() {
        let clock = ContinuousClock()
        let start = clock.now
        #expect(Host.runBounded(["sleep", "60"], seconds: 1) == .timeout)
        // It closes its output, and goes on.
        #expect(Host.runBounded(["sh", "-c", "exec >&- 2>&-; exec sleep 60"], seconds: 1) == .timeout)
        #expect(clock.now - start < .seconds(20))
    }

    @Test("A program writes without end") func flood() {
        guard case .ended(_, let output, _, let isComplete) = Host.runBounded(["yes"], limit: 100_000) else {
            Issue.record("it was not ended because of its output")
            return
        }
        #expect(output.utf8.count == 100_000 && !isComplete)
        // Errors are cut off, and nothing else.
        #expect(Host.runBounded(["sh", "-c", "yes | head -c 1000000 >&2; echo end"]).output == "end\n")
    }

    @Test func files() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("file", Array("text\u{e9}".utf8) + [0xff], mode: 0o640)
        let host = Host.live
        #expect(host.read(file.string) == .text("text\u{e9}\u{fffd}", isComplete: true))
        #expect(host.read(file.string + "x") == .missing)
        #expect(host.read(folder.path.string) == .refused(.isDirectory))
        #expect(host.list(folder.path.string) == ["file"])
        #expect(host.list("/no/such/folder").isEmpty)
        let status = try host.status(file.string).get()
        #expect(status.kind == .file && status.permissions == 0o640 && status.size == 7)
        #expect(try host.status(folder.path.string).get().kind == .folder)
        #expect(host.status("/no") == .failure(.noSuchFileOrDirectory))
        #expect(host.link("/proc/self/ns/net")?.hasPrefix("net:[") == true)
        #expect(host.link(file.string) == nil)
    }

    @Test("A file that never ends is read to the limit") func endless() {
        guard case .text(let text, let isComplete) = Host.live.read("/dev/zero") else {
            Issue.record("it could not be read")
            return
        }
        #expect(text.utf8.count == 4 << 20 && !isComplete)
    }

    @Test func keys() throws {
        let folder = try TemporaryFolder()
        let host = Host.live
        let path = folder.path.appending("key")
        guard case .bad(let found, let cure) = host.fingerprint(path.string, [geteuid()]) else {
            Issue.record("a file that is not there")
            return
        }
        #expect(found.contains("there is no file") && cure.contains("keygen"))
        let keys = try Keygen.write(path, replacing: false)
        #expect(host.fingerprint(path.string, [geteuid()]) == .good(keys.fingerprint))
        #expect(host.fingerprint(path.string, [geteuid() + 1]) == .foreign(geteuid()))
        for (content, mode, expected) in [
            ([UInt8](repeating: 1, count: 65_536), 0o600, "the same"), ([1, 2], 0o600, "2 bytes"),
            ([1, 2], 0o644, "mode 0644"),
        ] as [([UInt8], UInt16, String)] {
            let file = try folder.write("other", content, mode: mode)
            guard case .bad(let found, _) = host.fingerprint(file.string, [geteuid()]) else {
                Issue.record("a bad key")
                return
            }
            #expect(found.contains(expected))
        }
    }

    @Test func addressesAndClock() {
        #expect(Host.live.addresses().contains(InterfaceAddress("lo", IPAddress(127, 0, 0, 1))))
        #expect((Host.live.clock()?.unixSeconds ?? 0) > 1_735_689_600)
        #expect(Host.live.read("/proc/net/netfilter/nf_log").text != nil)
    }
}
