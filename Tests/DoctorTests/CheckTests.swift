// SPDX-License-Identifier: GPL-2.0-or-later
import Settings
import SystemPackage
import Testing
import Wire

@testable import Doctor

@Suite("Checks on made-up hosts") struct CheckTests {
    @Test(
        "The table of connections",
        arguments: [
            ("10", "100", Severity.ok), ("79", "100", .ok), ("80", "100", .warning), ("95", "100", .error),
            ("100", "100", .error), ("x", "100", .note), ("1", "0", .note), ("9223372036854775807", "1", .error),
            ("99999999999999999999", "1", .note), ("-5", "100", .ok),
            ("9223372036854775807", "9223372036854775807", .error),
        ])
    func tracking(_ count: String, _ most: String, _ severity: Severity) {
        var made = MadeUpHost()
        made.files["/proc/sys/net/netfilter/nf_conntrack_count"] = count + "\n"
        made.files["/proc/sys/net/netfilter/nf_conntrack_max"] = most + "\n"
        let findings = TrackingCheck.run(made.examination())
        #expect(findings.severity == severity)
        if severity > .note { #expect(findings.allSatisfy { $0.cure?.contains("nf_conntrack_max=") == true }) }
    }

    @Test("Settings of connection tracking are notes") func trackingSettings() {
        var made = MadeUpHost()
        for (name, value) in [("count", "1"), ("max", "9"), ("tcp_loose", "0"), ("acct", "0")] {
            made.files["/proc/sys/net/netfilter/nf_conntrack_\(name)"] = value + "\n"
        }
        let findings = TrackingCheck.run(made.examination())
        #expect(findings.map(\.severity) == [.note, .note])
        made.files["/proc/sys/net/netfilter/nf_conntrack_tcp_loose"] = "1\n"
        made.files["/proc/sys/net/netfilter/nf_conntrack_acct"] = "1\n"
        #expect(TrackingCheck.run(made.examination()).map(\.severity) == [.ok])
        made.files["/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established"] = "7199\n"
        #expect(TrackingCheck.run(made.examination()).map(\.severity) == [.note])
        made.files["/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established"] = "432000\n"
        #expect(TrackingCheck.run(made.examination()).map(\.severity) == [.ok])
    }

    @Test("The clock") func clock() {
        func finding(_ clock: ClockState?, service: String? = nil, usesTime: Bool = true) -> Finding? {
            var made = MadeUpHost()
            made.clock = clock
            if let service { made.run(5, service) }
            var subject = DoctorSubject(.server)
            subject.usesTime = usesTime
            return ClockCheck.run(made.examination(subject)).first
        }
        let now: Int64 = 1_800_000_000
        let good = ClockState(isSynchronised: true, estimatedError: 100, unixSeconds: now)
        let free = ClockState(isSynchronised: false, estimatedError: 100, unixSeconds: now)
        #expect(finding(good)?.severity == .ok)
        #expect(finding(good, service: "chronyd")?.found.contains("chronyd") == true)
        #expect(finding(free)?.cure?.contains("--no-time") == true)
        #expect(finding(free)?.severity == .warning)
        #expect(finding(free, service: "systemd-timesyn")?.cure?.contains("timedatectl") == true)
        #expect(finding(free, usesTime: false)?.severity == .ok)
        #expect(
            finding(ClockState(isSynchronised: true, estimatedError: 9_000_000, unixSeconds: now))?.found
                == "the clock may be 9 seconds off")
        #expect(finding(ClockState(isSynchronised: true, estimatedError: 1, unixSeconds: 86_400))?.severity == .error)
        #expect(finding(nil)?.severity == .note)
    }

    @Test("Features of the kernel") func kernel() {
        var made = MadeUpHost()
        made.files["/proc/sys/kernel/osrelease"] = "6.1.0\n"
        // Nothing is known.
        let unknown = KernelFeatureCheck.run(made.examination())
        #expect(unknown.map(\.severity) == [.note, .note])
        #expect(unknown.first?.found.contains("match u32") == true && unknown.first?.cure != nil)
        #expect(unknown.last?.found.contains("BPF") == true && unknown.last?.cure == nil)

        let options = [
            "NETFILTER_NETLINK_QUEUE", "NETFILTER_XT_TARGET_NFQUEUE", "NF_CONNTRACK", "NETFILTER_XT_CONNMARK",
            "NETFILTER_XT_MARK", "NETFILTER_XT_MATCH_CONNTRACK", "NETFILTER_XT_MATCH_ADDRTYPE",
            "NETFILTER_XT_MATCH_U32",
            "INET_DIAG_DESTROY", "BPF_SYSCALL", "NETFILTER_XT_MATCH_BPF",
        ]
        func configure(_ options: [String]) {
            made.files["/boot/config-6.1.0"] = options.map { "CONFIG_\($0)=y\n" }.joined()
        }
        configure(options)
        #expect(KernelFeatureCheck.run(made.examination()).map(\.severity) == [.ok])
        configure(options.filter { $0 != "NETFILTER_XT_MATCH_U32" })
        let without = KernelFeatureCheck.run(made.examination())
        #expect(without.map(\.severity) == [.error])
        #expect(without.first?.cure?.contains("CONFIG_NETFILTER_XT_MATCH_U32") == true)
        // It is there as a module, loaded or not.
        made.files["/lib/modules/6.1.0/modules.dep"] = "kernel/net/netfilter/xt_u32.ko.xz: kernel/net/x_tables.ko.xz\n"
        #expect(KernelFeatureCheck.run(made.examination()).map(\.severity) == [.ok])
        made.files["/lib/modules/6.1.0/modules.dep"] = nil
        made.files["/proc/net/ip_tables_matches"] = "tcp\nu32\n"
        #expect(KernelFeatureCheck.run(made.examination()).map(\.severity) == [.ok])
        // What is only useful is a note.
        made.files["/proc/net/ip_tables_matches"] = nil
        configure(options.filter { $0 != "INET_DIAG_DESTROY" })
        #expect(KernelFeatureCheck.run(made.examination()).map(\.severity) == [.note])
        // The client needs less.
        configure(Array(options.prefix(2)))
        #expect(KernelFeatureCheck.run(made.examination(DoctorSubject(.client))).map(\.severity) == [.ok])
    }

    @Test("A queue that loses packets") func losses() {
        var made = MadeUpHost()
        made.run(77, "tcpknock-server")
        made.files["/proc/net/netlink"] = "sk Eth Pid\n0 12 77 0 0 0 0 2 0 4242\n"
        made.folders["/proc/77/fd"] = ["0", "5"]
        made.links["/proc/77/fd/5"] = "socket:[4242]"
        func findings(_ line: String) -> [Finding] {
            made.files["/proc/net/netfilter/nfnetlink_queue"] = line + "\n"
            return QueueCheck.run(made.examination())
        }
        #expect(findings("100 77 0 2 512 0 0 9 1").map(\.found) == ["100 is bound by tcpknock-server, process 77"])
        #expect(findings("100 77 0 2 512 3 0 9 1").first?.cure?.contains("--queue-num 100:103") == true)
        #expect(findings("100 77 0 2 512 0 1 9 1").severity == .warning)
        #expect(findings("100 77 1000 2 512 0 0 9 1").first?.found.contains("1000 packets wait") == true)
        #expect(findings("101 77 0 2 512 0 0 9 1").severity == .error)
        // Somebody has it who cannot be seen, as in another process namespace.
        #expect(findings("100 78 0 2 512 0 0 9 1").map(\.severity) == [.note])
        made.refused = ["/proc/net/netfilter/nfnetlink_queue"]
        #expect(QueueCheck.run(made.examination()).map(\.severity) == [.note])
        made.refused = []
        made.files["/proc/net/netfilter/nfnetlink_queue"] = nil
        #expect(QueueCheck.run(made.examination()).first?.found.contains("has no queues now") == true)
    }

    @Test("The number of a process need not be the netlink port") func otherPort() {
        var made = MadeUpHost()
        made.run(77, "nc")
        made.files["/proc/net/netlink"] = "sk Eth Pid\n0 12 4294963173 0 0 0 0 2 0 4242\n"
        made.folders["/proc/77/fd"] = ["5"]
        made.links["/proc/77/fd/5"] = "socket:[4242]"
        made.files["/proc/net/netfilter/nfnetlink_queue"] = "100 -4123 0 2 512 0 0 9 1\n"
        #expect(QueueCheck.run(made.examination()).first?.found.contains("bound by nc, process 77") == true)
    }

    @Test("The daemon's version and flags") func daemon() {
        var made = MadeUpHost()
        made.run(77, "tcpknock-server", ["--queue_num=7", "--target-port", "22", "--target-port=443", "--no-time"])
        made.statuses["/proc/77/exe"] = FileStatus(kind: .file, permissions: 0o755)
        made.say("/proc/77/exe --version", "0.0.1\n")
        let discovery = Discovery(Processes(made.host), made.host)
        let subject = discovery.subject(Installation(.server))
        #expect(subject.queues == 7...7 && subject.targetPorts == [22, 443] && !subject.usesTime)
        let findings = DaemonCheck.run(made.examination(subject))
        #expect(findings.count == 1 && findings.first?.found.contains("is version 0.0.1") == true)
        // What others may have put there is not run.
        made.statuses["/proc/77/exe"] = FileStatus(kind: .file, permissions: 0o777)
        #expect(DaemonCheck.run(made.examination(subject)).map(\.severity) == [.ok])
        made.statuses["/proc/77/exe"] = FileStatus(kind: .file, permissions: 0o755, owner: 1000)
        #expect(DaemonCheck.run(made.examination(subject)).map(\.severity) == [.ok])
        #expect(DaemonCheck.run(made.examination()).first?.found.contains("--queue-num 7") == true)
        made.files["/proc/77/stat"] = "77 (a) S) T 1 77"
        #expect(DaemonCheck.run(made.examination(subject)).first?.cure == "kill -CONT 77")
        made.files["/proc/77/stat"] = "77 (tcpknock-server) S 1"
        made.links["/proc/77/exe"] = "/usr/local/sbin/tcpknock-server (deleted)"
        #expect(DaemonCheck.run(made.examination(subject)).severity == .warning)
        made.links["/proc/77/exe"] = "/home/somebody/other"
        #expect(DaemonCheck.run(made.examination(subject)).severity == .error, "it only has the name")
        made.links["/proc/77/exe"] = "/usr/local/sbin/tcpknock-server"
        made.links["/proc/77/ns/net"] = "net:[2]"
        #expect(DaemonCheck.run(made.examination(subject)).severity == .error)
    }

    @Test("Systems that use the bit too") func knownSystems() {
        var made = MadeUpHost()
        made.folders["/sys/class/net"] = ["eth0", "cali12345"]
        #expect(MarkCheck.run(made.examination()).severity == .ok)
        var subject = DoctorSubject(.server)
        subject.mark = 0x10000
        #expect(MarkCheck.run(made.examination(subject)).first?.found.contains("Calico") == true)
    }

    @Test("Files of the daemon") func files() {
        var made = MadeUpHost()
        var subject = DoctorSubject(.server)
        subject.configuration = "/etc/tcpknock/server.toml"
        subject.controlSocket = "/run/tcpknock/server.sock"
        #expect(FileCheck.run(made.examination(subject)).first?.found.contains("no configuration") == true)
        made.statuses["/etc/tcpknock/server.toml"] = FileStatus(kind: .file, permissions: 0o644)
        made.statuses["/run/tcpknock/server.sock"] = FileStatus(kind: .socket, permissions: 0o660)
        #expect(FileCheck.run(made.examination(subject)).map(\.severity) == [.ok])
        made.statuses["/run/tcpknock/server.sock"] = FileStatus(kind: .socket, permissions: 0o666)
        #expect(FileCheck.run(made.examination(subject)).severity == .error)
        made.statuses["/run/tcpknock/server.sock"] = FileStatus(kind: .file, permissions: 0o600)
        #expect(FileCheck.run(made.examination(subject)).first?.found.contains("not a socket") == true)
        made.statuses["/run/tcpknock/server.sock"] = nil
        made.statuses["/etc/tcpknock"] = FileStatus(kind: .folder, permissions: 0o777)
        #expect(FileCheck.run(made.examination(subject)).first?.cure == "chmod go-w /etc/tcpknock")
        made.statuses["/etc/tcpknock"] = FileStatus(kind: .folder, permissions: 0o1777)
        #expect(FileCheck.run(made.examination(subject)).map(\.severity) == [.ok])
        made.statuses["/etc/tcpknock/server.toml"] = FileStatus(kind: .file, permissions: 0o600, owner: 1000)
        #expect(FileCheck.run(made.examination(subject)).first?.cure == "chown root /etc/tcpknock/server.toml")
        made.refused = ["/etc/tcpknock/server.toml"]
        #expect(FileCheck.run(made.examination(subject)).map(\.severity) == [.note])
        made.refused = ["/run/tcpknock/server.sock"]
        made.statuses["/etc/tcpknock/server.toml"]?.owner = 0
        #expect(FileCheck.run(made.examination(subject)).map(\.severity) == [.note])
        // There need be no socket, but one that was asked for is missing where the daemon runs.
        made.refused = []
        made.run(77, "tcpknock-server")
        #expect(FileCheck.run(made.examination(subject)).first?.found.contains("has no control socket") == true)
    }

    @Test("A gateway need not have the service itself") func gateway() {
        var made = MadeUpHost()
        made.files["/proc/net/tcp"] = "header\n"
        #expect(ServiceCheck.run(made.examination()).map(\.severity) == [.warning])
        made.files["/proc/sys/net/ipv4/ip_forward"] = "1\n"
        #expect(ServiceCheck.run(made.examination()).map(\.severity) == [.warning])
        var gateway = DoctorSubject(.server)
        gateway.protect = [.own, .interface("eth1")]
        #expect(ServiceCheck.run(made.examination(gateway)).map(\.severity) == [.note])
        made.files["/proc/net/tcp"] = nil
        #expect(ServiceCheck.run(made.examination()).map(\.severity) == [.note])
    }

    @Test("A host behind a NAT") func addresses() {
        var made = MadeUpHost()
        made.addresses = [
            InterfaceAddress("lo", IPAddress(127, 0, 0, 1)), InterfaceAddress("eth0", IPAddress(192, 168, 1, 5)),
        ]
        var subject = DoctorSubject(.client)
        #expect(AddressCheck.run(made.examination(subject)).map(\.severity) == [.note])
        subject.isRoaming = true
        #expect(AddressCheck.run(made.examination(subject)).map(\.severity) == [.ok])
        subject.isRoaming = false
        subject.natAddresses = [IPAddress(203, 0, 113, 7)]
        #expect(AddressCheck.run(made.examination(subject)).map(\.severity) == [.ok])
        subject.natAddresses = [IPAddress(192, 168, 1, 5)]
        #expect(AddressCheck.run(made.examination(subject)).first?.found.contains("on eth0") == true)
        subject.natAddresses = [IPAddress(100, 64, 1, 5)]
        #expect(AddressCheck.run(made.examination(subject)).severity == .warning)
        made.addresses.append(InterfaceAddress("eth1", IPAddress(198, 51, 100, 7)))
        subject.natAddresses = []
        #expect(AddressCheck.run(made.examination(subject)).map(\.severity) == [.ok])
    }

    @Test("The filter table of a careful host") func filter() {
        func findings(_ rules: String, policy: String = "DROP") -> [Finding] {
            var made = MadeUpHost()
            made.say("iptables-nft-save", "*filter\n:INPUT \(policy) [0:0]\n:OWN - [0:0]\n\(rules)\nCOMMIT\n")
            return ForeignRuleCheck.filter(made.examination())
        }
        let established = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        #expect(findings(established).severity == .warning)
        #expect(findings(established, policy: "ACCEPT").severity == .ok)
        #expect(findings(established + "\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT").severity == .ok)
        #expect(findings("-A INPUT -j OWN\n-A OWN -p tcp -m tcp --dport 22 -j ACCEPT").severity == .ok)
        #expect(findings("-A INPUT -j OWN\n-A OWN -p tcp -m tcp --dport 80 -j ACCEPT").severity == .warning)
        #expect(
            findings("-A INPUT -j REJECT --reject-with icmp-port-unreachable", policy: "ACCEPT").severity == .warning)
        #expect(findings("-A INPUT -s 192.0.2.0/24 -j DROP", policy: "ACCEPT").severity == .ok)
        #expect(findings("-A INPUT -m conntrack --ctstate INVALID -j DROP", policy: "ACCEPT").severity == .ok)
        // Chains that lead to each other, which the kernel refuses.
        #expect(findings("-A INPUT -j OWN\n-A OWN -j OWN", policy: "ACCEPT").severity == .ok)
    }
}
