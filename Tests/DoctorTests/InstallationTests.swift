// SPDX-License-Identifier: GPL-2.0-or-later
import Settings
import SystemPackage
import Testing

@testable import Doctor

@Suite("Which daemons a host has") struct InstallationTests {
    private func found(_ made: MadeUpHost) -> [Installation] {
        Discovery(Processes(made.host), made.host).installations
    }

    @Test("Servers by name: by configuration, socket, rules or daemon, each once") func instances() {
        var made = MadeUpHost()
        made.folders["/etc/tcpknock"] = [
            "client.toml", "server@file.toml", "server@both.toml", "server@a;b.toml", "keys",
        ]
        made.folders["/run/tcpknock"] = ["server@sock.sock", "server@both.sock", "server.sock", "server@-x.sock"]
        made.rules = [.server: ["instances": #"["rules"]"#], .client: ["state": #""partial""#]]
        made.run(5, "tcpknock-server", ["--instance", "runs"])
        made.run(6, "tcpknock-server", ["--instance=$(reboot)"])
        let names = ["both", "file", "rules", "runs", "sock"]
        #expect(
            found(made)
                == [Installation(.server)] + names.map { Installation(.server, instance: $0) } + [Installation(.client)]
        )
    }

    @Test("The cures of one by a name name it") func cures() {
        var made = MadeUpHost()
        made.run(5, "tcpknock-server", ["--instance", "web", "--config", "", "--queue-num", "101"])
        made.run(6, "tcpknock-server", ["--config", ""])
        let discovery = Discovery(Processes(made.host), made.host)
        let subject = discovery.subject(Installation(.server, instance: "web"))
        #expect(subject.queues == 101...101 && subject.controlSocket == "/run/tcpknock/server@web.sock")
        #expect(subject.script("up") == "/usr/local/lib/tcpknock/server.sh up --instance web --queue-num 101")
        #expect(subject.script("confirm").hasSuffix("server.sh confirm --instance web"))
        #expect(subject.daemonCommand == "tcpknock-server --instance web --queue-num 101")
        let examination = made.examination(subject)
        #expect(examination.daemons.map(\.number) == [5])
        made.locks["/run/tcpknock/server@web.sock"] = .list(["192.0.2.7 for 5 s"])
        #expect(
            LockoutCheck.run(made.examination(subject)).first?.cure?.hasSuffix(
                ": tcpknock unlock --instance web 192.0.2.7") == true)
        made.links["/proc/self/ns/net"] = "net:[1]"
        #expect(ConfirmationCheck.run(made.examination(subject)).map(\.severity) == [.ok])
        made.putRules(["wanted": #""unconfirmed""#])
        #expect(ConfirmationCheck.run(made.examination(subject)).map(\.severity) == [.warning])
        made.userID = 1
        #expect(ConfirmationCheck.run(made.examination(subject)).map(\.severity) == [.note])
    }

    @Test("A queue that another server of the host has") func otherServersQueue() {
        var made = MadeUpHost()
        made.run(5, "tcpknock-server", ["--instance", "web"])
        made.files["/proc/net/netlink"] = "sk Eth Pid\n0 12 5 0 0 0 0 2 0 4242\n"
        made.folders["/proc/5/fd"] = ["3"]
        made.links["/proc/5/fd/3"] = "socket:[4242]"
        made.files["/proc/net/netfilter/nfnetlink_queue"] = "100 5 0 2 512 0 0 9 1\n"
        #expect(QueueCheck.run(made.examination()).first?.found.contains("another server of this host") == true)
        #expect(QueueCheck.run(made.examination(DoctorSubject(.server, instance: "web"))).map(\.severity) == [.ok])
    }

    @Test("What has ended, or is about to become another program, is no daemon") func noDaemons() {
        var made = MadeUpHost()
        made.run(5, "tcpknock-server")
        made.run(6, "tcpknock-server")
        made.files["/proc/6/stat"] = "6 (tcpknock-server) S 5 1"
        made.run(7, "tcpknock-server")
        made.links["/proc/7/ns/net"] = nil
        #expect(Processes(made.host).daemons.map(\.number) == [5])
        // Who may not know takes it for one.
        made.refused = ["/proc/7/ns/net"]
        #expect(Processes(made.host).daemons.map(\.number) == [5, 7])
    }

    @Test("A key file of somebody else") func keys() {
        var made = MadeUpHost()
        var subject = DoctorSubject(.server)
        subject.keyFiles = [DoctorSubject.NamedKey(path: "/k k")]
        made.keys["/k k"] = .good("1")
        func finding() -> Finding? { KeyCheck.run(made.examination(subject)).first }
        #expect(finding()?.severity == .ok)
        made.owners["/k k"] = 2
        #expect(finding()?.severity == .error)
        #expect(finding()?.cure?.hasPrefix("chown root '/k k'; ") == true)
        // That of the daemon's user is right, whoever it is.
        subject.user = "bin"
        #expect(finding()?.severity == .ok)
        made.owners["/k k"] = 1
        #expect(finding()?.cure?.hasPrefix("chown root '/k k'; ") == true)
        made.run(5, "tcpknock-server")
        made.files["/proc/5/status"] = "Name:\ttcpknock-server\nUid:\t0\t1\t1\t1\n"
        #expect(finding()?.severity == .ok)
    }

    @Test("Rules in another iptables than the setting says") func backends() {
        var made = MadeUpHost()
        made.putRules()
        var subject = DoctorSubject(.server)
        func finding() -> Finding? { BackendCheck.run(made.examination(subject)).first }
        for (choice, severity) in [(IPTablesChoice.auto, Severity.ok), (.nft, .ok), (.legacy, .warning)] {
            subject.iptables = choice
            #expect(finding()?.severity == severity)
        }
        #expect(
            finding()?.cure?.hasSuffix("server.sh down && /usr/local/lib/tcpknock/server.sh up --iptables legacy")
                == true)
    }

    @Test(
        "Words for a shell",
        arguments: [
            ("/etc/a-b_c.dat", "/etc/a-b_c.dat"), ("a b", "'a b'"), ("", "''"), ("it's", #"'it'\''s'"#),
            ("$(reboot)", "'$(reboot)'"), ("é", "'é'"), ("!", "'!'"),
        ])
    func words(_ text: String, _ word: String) {
        #expect(text.shellWord == word)
    }

    @Test("A comment of a rule runs nothing when the rule is taken out as advised") func comments() throws {
        var made = MadeUpHost()
        made.say(
            "iptables-nft-save",
            "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp -m tcp --dport 22 -m comment --comment \"$(reboot) `it's\" -j CT --notrack\nCOMMIT\n"
        )
        let finding = try #require(TrackingCheck.run(made.examination()).first { $0.severity == .error })
        #expect(
            finding.cure
                == "iptables-nft -t raw -D PREROUTING -p tcp -m tcp --dport 22 -m comment --comment "
                + #"'$(reboot) `it'\''s' -j CT --notrack"#)
    }
}
