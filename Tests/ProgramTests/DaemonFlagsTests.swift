// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Glibc
import Linux
import Program
import Settings
import SystemPackage
import TestSupport
import Testing
import Wire

@Suite("Flags over a configuration file") struct DaemonFlagsTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func server(_ arguments: [String], file: String? = nil) throws -> EffectiveSettings<ServerSettings> {
        let path = try file.map { try folder.write("f.toml", Array($0.utf8)).string }
        return try DaemonFlags<ServerSettings>.parse(["--config", path ?? ""] + arguments).effectiveSettings()
    }

    private func client(_ arguments: [String], file: String? = nil) throws -> EffectiveSettings<ClientSettings> {
        let path = try file.map { try folder.write("f.toml", Array($0.utf8)).string }
        return try DaemonFlags<ClientSettings>.parse(["--config", path ?? ""] + arguments).effectiveSettings()
    }

    @Test("Every flag of the server, in both spellings", arguments: ["-", "_"])
    func everyFlagOfTheServer(_ joint: String) throws {
        let flags = """
            --key+file /k --target+port 22 --target+port 443 --no+time --control+socket /c --metrics+file /m \
            --log+level error --log+format journal --log+target syslog --queue+num 1:2 --lockout+seconds 3 --lockout+scope address --guest+syn+rate 8 --mark 4 \
            --on+failure reset --guest+search all --fast+open --lockout+after+wrong+codes 5 --wrong+code+seconds 6 \
            --kernel+filter on --pin+folder /p --no+count+bytes --hook+seconds 7 --hook+limit 9 --on+admit a \
            --protect own --protect fd00::/8 --exempt ::1 --exempt interface:a --on+close b --on+lockout c \
            --rules+guard off --state+dir /s --user u:g --iptables nft
            """
        let arguments = flags.split(separator: " ").map { $0.split(separator: "+").joined(separator: joint) }
        var expected = ServerSettings()
        expected.keyFile = "/k"
        expected.targetPorts = [22, 443]
        expected.noTime = true
        expected.controlSocket = "/c"
        expected.metricsFile = "/m"
        expected.logLevel = .error
        expected.logFormat = .journal
        expected.logTarget = .syslog
        expected.iptables = .nft
        expected.queues = 1...2
        expected.protect = [.own, .prefix(try #require(IPPrefix("fd00::/8")))]
        expected.rulesGuard = .off
        expected.stateFolder = "/s"
        expected.user = "u:g"
        expected.exempt = [.prefix(try #require(IPPrefix("::1/128"))), .interface("a")]
        expected.lockoutSeconds = 3
        expected.lockoutScope = .address
        expected.guestSYNRate = 8
        expected.mark = 4
        expected.onFailure = .reset
        expected.guestSearch = .all
        expected.fastOpen = true
        expected.lockoutAfterWrongCodes = 5
        expected.wrongCodeSeconds = 6
        expected.kernelFilter = .on
        expected.pinFolder = "/p"
        expected.countBytes = false
        expected.hookSeconds = 7
        expected.hookLimit = 9
        expected.onAdmit = HookCommand(shell: "a")
        expected.onClose = HookCommand(shell: "b")
        expected.onLockout = HookCommand(shell: "c")
        let effective = try server(arguments)
        #expect(effective.settings == expected)
        // All of them are told to come from flags, so none is without a flag.
        #expect(effective.text.split(separator: "\n").allSatisfy { $0.hasSuffix("  # flag") }, "\(effective.text)")
    }

    @Test("An instance has a socket of its own, and its rules know it") func instance() throws {
        let named = try server(["--instance", "web-1"])
        #expect(named.settings.controlSocket == "/run/tcpknock/server@web-1.sock")
        #expect(named.settings.firewallFlags.contains { $0 == "web-1" })
        #expect(
            try DaemonFlags<ServerSettings>.parse(["--instance", "web-1"]).usualFile
                == "/etc/tcpknock/server@web-1.toml")
        // What the file or a flag says counts more.
        #expect(try server(["--instance", "a"], file: "control_socket = \"/c\"\n").settings.controlSocket == "/c")
        #expect(try server(["--instance", "a", "--control-socket", "/d"]).settings.controlSocket == "/d")
        for name in ["", "-a", "a_b", "elevenchars", "ä", "a/b"] {
            #expect(throws: (any Error).self, "\(name)") { try server(["--instance=\(name)"]) }
        }
    }

    @Test("Every flag of the client, in both spellings", arguments: ["-", "_"])
    func everyFlagOfTheClient(_ joint: String) throws {
        let flags = """
            --key+file /k --target+port 23 --no+time --control+socket /c --metrics+file /m --log+level error \
            --log+format journal --log+target syslog --queue+num 1 --nat+ip 192.0.2.7 --nat+ip ::1 --isn+mask full \
            --server 192.0.2.0/24 --server ::1 --no+hint --no+count+bytes --user u --mark 0x20 --iptables legacy
            """
        let arguments = flags.split(separator: " ").map { $0.split(separator: "+").joined(separator: joint) }
        var expected = ClientSettings()
        expected.keyFile = "/k"
        expected.user = "u"
        expected.mark = 0x20
        expected.targetPorts = [23]
        expected.noTime = true
        expected.controlSocket = "/c"
        expected.metricsFile = "/m"
        expected.logLevel = .error
        expected.logFormat = .journal
        expected.logTarget = .syslog
        expected.iptables = .legacy
        expected.queue = 1
        expected.nat = .addresses([.ipv4: IPAddress(192, 0, 2, 7), .ipv6: IPAddress(high: 0, low: 1)])
        expected.mask = .full
        expected.servers = [try #require(IPPrefix("192.0.2.0/24")), try #require(IPPrefix("::1"))]
        expected.noHint = true
        expected.countBytes = false
        let effective = try client(arguments)
        #expect(effective.settings == expected)
        #expect(effective.text.split(separator: "\n").allSatisfy { $0.hasSuffix("  # flag") }, "\(effective.text)")
    }

    @Test func flagsComeFirstThenTheFileThenDefaults() throws {
        let effective = try server(
            ["--mark", "0x4000", "--control-socket", ""],
            file: "mark = 1\nqueue_num = 7\ncontrol_socket = \"/c\"\nmetrics_file = \"/m\"\n")
        #expect(effective.settings.mark == 0x4000)
        #expect(effective.settings.queues == 7...7)
        #expect(effective.settings.controlSocket == nil)
        #expect(effective.settings.metricsFile == "/m")
        let lines = effective.text.split(separator: "\n")
        for line in [
            "mark = 0x4000  # flag", "queue_num = 7  # file", "control_socket = \"\"  # flag",
            "no_time = false  # default",
        ] {
            #expect(lines.contains { $0 == line }, "\(line)")
        }
    }

    @Test("A file is read anew each time") func again() throws {
        let path = try folder.write("f.toml", Array("mark = 1".utf8))
        let flags = try DaemonFlags<ServerSettings>.parse(["--config", path.string])
        #expect(try flags.settings().mark == 1)
        _ = try folder.write("f.toml", Array("mark = 2".utf8))
        #expect(try flags.settings().mark == 2)
        _ = try folder.write("f.toml", Array("mark = 3".utf8))
        #expect(throws: FatalError.self) { try flags.settings() }
    }

    @Test func natAuto() throws {
        #expect(try client(["--nat-ip", "auto"]).settings.nat == .automatic)
        #expect(try client([], file: "nat_ip = \"auto\"").settings.nat == .automatic)
        #expect(try client(["--nat-ip", "::1"], file: "nat_ip = \"auto\"").settings.nat != .automatic)
        #expect(throws: (any Error).self) { try client(["--nat-ip", "auto", "--nat-ip", "::1"]) }
        #expect(throws: (any Error).self) { try client(["--nat-ip", "auto", "--nat-ip", "auto"]) }
    }

    @Test(
        "Statuses",
        arguments: [
            ("murk = 1", [], .configuration),
            ("lockout_seconds = 1", ["--control-socket", String(repeating: "x", count: 108)], .usage),
            ("[[guest]]\nname=\"a\"\nkey_file=\"k\"", ["--key-file", "k"], .usage),
        ] as [(String, [String], Linux.ExitStatus)])
    func status(_ file: String, _ arguments: [String], _ status: Linux.ExitStatus) {
        #expect {
            try server(arguments, file: file)
        } throws: { ($0 as? FatalError)?.status == status }
    }

    @Test(
        "What is no number in the range",
        arguments: [
            ["--hook-limit", "0"], ["--hook-seconds", "3601"], ["--lockout-after-wrong-codes", "-1"],
            ["--wrong-code-seconds", "+5"], ["--lockout-seconds", ""],
            ["--on-failure", "rest"], ["--protect", "self"], ["--protect", "interface:"], ["--exempt", "own"],
            ["--guest-search", "none"], ["--rules-guard", "on"], ["--log-target", "file"],
            ["--iptables", "ebtables"],
        ])
    func numbers(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try DaemonFlags<ServerSettings>.parse(arguments) }
    }
}
