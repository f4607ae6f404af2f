// SPDX-License-Identifier: GPL-2.0-or-later
import Settings
import SystemPackage
import Testing
import Wire

@Suite("Settings of a file") struct SettingsTests {
    private func server(_ text: String) throws -> ServerSettings {
        try SettingsFile<ServerSettings>.parse(Array(text.utf8), "/etc/tcpknock/server.toml").settings
    }

    private func client(_ text: String) throws -> ClientSettings {
        try SettingsFile<ClientSettings>.parse(Array(text.utf8), "/etc/tcpknock/client.toml").settings
    }

    private func text(_ settings: some DaemonSettings) -> String { settings.text() }

    static let fullServer = #"""
        target_ports = [22, 443]
        queue_num = "100:103"
        protect = ["own", "10.0.0.9/24", "2001:db8::7", "interface:eth0.1"]
        exempt = ["192.0.2.0/24", "fd00::/8", "interface:wg0"]
        lockout_seconds = 60
        no_time = true
        mark = 0x4000
        on_failure = "reset"
        guest_search = "hint"
        lockout_scope = "address"
        guest_syn_rate = 50
        fast_open = true
        lockout_after_wrong_codes = 5
        wrong_code_seconds = 30
        kernel_filter = "off"
        pin_folder = "/sys/fs/bpf/other"
        control_socket = ""
        metrics_file = "/var/lib/node/tcpknock.prom"
        rules_guard = "tell"
        state_dir = "state"
        user = "tcpknock:tcpknock"
        count_bytes = false
        log_level = "debug"
        log_format = "journal"
        log_target = "syslog"
        iptables = "legacy"
        hook_seconds = 3
        hook_limit = 2
        on_admit = ["/usr/local/bin/x", "an \"argument\"\n\\"]
        on_close = "echo $TCPKNOCK_GUEST"
        on_lockout = "true"

        [[guest]]
        name = "alice"
        key_file = "guests/alice.dat"
        ports = [22]
        networks = ["192.0.2.0/24", "2001:db8::7"]
        expires = 2027-01-01T00:00:00Z
        enabled = false
        roaming = true
        on_admit = "id"
        on_close = "id"
        on_lockout = ["/bin/id"]

        [[guest]]
        name = "bob"
        key_file = "/keys/bob.dat"
        ports = []
        """#

    @Test func everyKeyOfTheServer() throws {
        var alice = GuestSettings(name: "alice", keyFile: "/etc/tcpknock/guests/alice.dat")
        alice.ports = [22]
        alice.networks = [try #require(IPPrefix("192.0.2.0/24")), try #require(IPPrefix("2001:db8::7"))]
        alice.expires = 1_798_761_600
        alice.enabled = false
        alice.roaming = true
        alice.onAdmit = HookCommand(shell: "id")
        alice.onClose = HookCommand(shell: "id")
        alice.onLockout = HookCommand(arguments: ["/bin/id"])
        var bob = GuestSettings(name: "bob", keyFile: "/keys/bob.dat")
        bob.ports = []

        var expected = ServerSettings()
        expected.targetPorts = [22, 443]
        expected.queues = 100...103
        expected.protect = [
            .own, .prefix(try #require(IPPrefix("10.0.0.0/24"))), .prefix(try #require(IPPrefix("2001:db8::7/128"))),
            .interface("eth0.1"),
        ]
        expected.exempt = [
            .prefix(try #require(IPPrefix("192.0.2.0/24"))), .prefix(try #require(IPPrefix("fd00::/8"))),
            .interface("wg0"),
        ]
        expected.lockoutSeconds = 60
        expected.noTime = true
        expected.mark = 0x4000
        expected.onFailure = .reset
        expected.guestSearch = .hint
        (expected.lockoutScope, expected.guestSYNRate) = (.address, 50)
        expected.fastOpen = true
        expected.lockoutAfterWrongCodes = 5
        expected.wrongCodeSeconds = 30
        expected.kernelFilter = .off
        expected.pinFolder = "/sys/fs/bpf/other"
        expected.controlSocket = nil
        expected.metricsFile = "/var/lib/node/tcpknock.prom"
        expected.rulesGuard = .tell
        expected.stateFolder = "/etc/tcpknock/state"
        expected.user = "tcpknock:tcpknock"
        expected.countBytes = false
        expected.logLevel = .debug
        expected.logFormat = .journal
        expected.logTarget = .syslog
        expected.iptables = .legacy
        expected.hookSeconds = 3
        expected.hookLimit = 2
        expected.onAdmit = HookCommand(arguments: ["/usr/local/bin/x", "an \"argument\"\n\\"])
        expected.onClose = HookCommand(arguments: ["/bin/sh", "-c", "echo $TCPKNOCK_GUEST"])
        expected.onLockout = HookCommand(shell: "true")
        expected.guests = [alice, bob]
        #expect(try server(Self.fullServer) == expected)
    }

    static let fullClient = """
        key_file = "../port_protector.dat"
        target_ports = [22, 2222]
        queue_num = 7
        mark = 8
        nat_ip = ["203.0.113.7", "2001:db8::7"]
        isn_mask = "windowed"
        servers = ["198.51.100.1", "2001:db8::/32"]
        no_time = true
        no_hint = true
        control_socket = "c.sock"
        metrics_file = "m"
        log_level = "error"
        log_format = "json"
        log_target = "syslog"
        iptables = "nft"

        [[target]]
        host = "Server.Example.Org"
        port = 2200
        key_file = "keys/server.dat"
        nat_ip = "auto"
        isn_mask = "full"
        require_proof = false
        no_time = false

        [[target]]
        host = "198.51.100.0/24"
        key_file = "keys/net.dat"
        nat_ip = "203.0.113.8"
        """

    @Test func everyKeyOfTheClient() throws {
        var one = TargetSettings(host: .name("server.example.org"), keyFile: "/etc/tcpknock/keys/server.dat")
        one.ports = [2200]
        one.nat = .automatic
        one.mask = .full
        one.requireProof = false
        one.noTime = false
        let prefix = try #require(IPPrefix("198.51.100.0/24"))
        var other = TargetSettings(host: .prefix(prefix), keyFile: "/etc/tcpknock/keys/net.dat")
        other.nat = .addresses([.ipv4: IPAddress(203, 0, 113, 8)])

        var expected = ClientSettings()
        expected.keyFile = "/etc/tcpknock/../port_protector.dat"
        expected.targetPorts = [22, 2222]
        (expected.queue, expected.mark) = (7, 8)
        expected.nat = .addresses([.ipv4: IPAddress(203, 0, 113, 7), .ipv6: try #require(IPAddress("2001:db8::7"))])
        expected.mask = .windowed
        expected.servers = [try #require(IPPrefix("198.51.100.1")), try #require(IPPrefix("2001:db8::/32"))]
        expected.noTime = true
        expected.noHint = true
        expected.controlSocket = "/etc/tcpknock/c.sock"
        expected.metricsFile = "/etc/tcpknock/m"
        expected.logLevel = .error
        expected.logFormat = .json
        expected.logTarget = .syslog
        expected.iptables = .nft
        expected.targets = [one, other]
        #expect(try client(Self.fullClient) == expected)
        #expect(expected.allPorts == [22, 2222, 2200])
    }

    @Test("An empty file says what no file says") func empty() throws {
        #expect(try server("") == ServerSettings())
        #expect(try client("# nothing\n") == ClientSettings())
    }

    @Test(
        "What is written can be read", arguments: ["", fullServer, "nothing", "key_file = \"/k\"\nqueue_num = 3\n"])
    func roundTrip(_ source: String) throws {
        let settings = source == "nothing" ? ServerSettings() : try server(source)
        var again = try server(text(settings))
        // The file that is written names the key file even if the one that was read did not.
        if settings.guests.isEmpty { again.keyFile = settings.keyFile }
        #expect(again == settings)
        #expect(again.effectiveGuests == settings.effectiveGuests)
    }

    @Test(
        "What is written can be read, for the client",
        arguments: [
            "", fullClient, "nat_ip = \"auto\"", "nat_ip = \"::1\"", "[[target]]\nhost = \"a\"\nkey_file = \"k\"",
        ])
    func clientRoundTrip(_ source: String) throws {
        let settings = try client(source)
        var again = try client(text(settings))
        #expect(again.sharedKeyFile == settings.sharedKeyFile)
        again.keyFile = settings.keyFile
        #expect(again == settings)
    }

    @Test func onlyOneGuestWithoutGuests() throws {
        #expect(
            try server("key_file = \"k\"").effectiveGuests
                == [GuestSettings(name: "default", keyFile: "/etc/tcpknock/k")])
        #expect(
            try server("").effectiveGuests == [GuestSettings(name: "default", keyFile: "/etc/port_protector.dat")])
    }

    @Test func keyForDestinationsWithoutTarget() throws {
        let target = "[[target]]\nhost = \"a\"\nports = [2200, 22]\nkey_file = \"k\"\n"
        #expect(try client("").sharedKeyFile == "/etc/port_protector.dat")
        #expect(try client(target).sharedKeyFile == nil)
        #expect(try client(target).allPorts == [2200, 22])
        #expect(try client("key_file = \"/k\"\n" + target).sharedKeyFile == "/k")
        #expect(try client("key_file = \"/k\"\n" + target).allPorts == [22, 2200])
    }

    @Test(
        "Dates are in UTC, or have an offset",
        arguments: [
            ("2027-01-01", 1_798_761_600), ("2027-01-01T00:00:00", 1_798_761_600),
            ("2027-01-01T01:00:00+01:00", 1_798_761_600), ("2026-12-31 19:00:00-05:00", 1_798_761_600),
            ("2027-01-01T00:00:00.999Z", 1_798_761_600), ("1970-01-01", 0), ("1969-12-31", -86_400),
        ] as [(String, Int64)])
    func dates(_ text: String, _ seconds: Int64) throws {
        let guest = "[[guest]]\nname = \"a\"\nkey_file = \"k\"\nexpires = \(text)\n"
        #expect(try server(guest).guests.map(\.expires) == [seconds])
    }

    @Test func firewallFlags() throws {
        #expect(
            ServerSettings().firewallFlags.joined(separator: " ") == "--target-port 22 --mark 0x1000 --queue-num 100")
        #expect(
            try server(Self.fullServer).firewallFlags.joined(separator: " ")
                == "--target-port 22 --target-port 443 --mark 0x4000 --iptables legacy --queue-num 100:103 --protect own --protect "
                + "10.0.0.0/24 --protect 2001:db8::7 --protect interface:eth0.1 --exempt "
                + "192.0.2.0/24 --exempt fd00::/8 --exempt interface:wg0 --on-failure reset --kernel-filter off --pin-folder /sys/fs/bpf/other"
        )
        #expect(
            ClientSettings().firewallFlags.joined(separator: " ") == "--target-port 22 --mark 0x1000 --queue-num 200")
        #expect(
            try client(Self.fullClient).firewallFlags.joined(separator: " ")
                == "--target-port 22 --target-port 2222 --target-port 2200 --mark 0x8 --iptables nft --queue-num 7")
    }

    @Test("A name in any script will do, if it has no spaces", arguments: ["a", "Zoë", "名前", "a.b-c_d@e/f", "'"])
    func names(_ name: String) throws {
        let guest = "[[guest]]\nname = \(TOMLText.string(name))\nkey_file = \"k\"\n"
        #expect(try server(guest).guests.map(\.name) == [name])
    }
}
