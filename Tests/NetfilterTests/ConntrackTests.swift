// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import TestSupport
import Testing
import Wire

@testable import Linux
@testable import Netfilter

/// Real connections in network namespaces of processes of their own.
@Suite(.enabled(if: NetworkNamespace.obstacle == nil, Comment(rawValue: NetworkNamespace.obstacle ?? "")))
struct ConntrackTests {
    /// Rules that make the kernel track connections, and mark those to port 22.
    fileprivate static func track() {
        NetworkNamespace.enterNew()
        for iptables in ["iptables", "ip6tables"] {
            NetworkNamespace.run("\(iptables) -w -A INPUT -m conntrack --ctstate INVALID -j DROP")
            NetworkNamespace.run("\(iptables) -w -t mangle -A OUTPUT -p tcp --dport 22 -j CONNMARK --set-mark 0x1234")
        }
    }

    /// Everything that is heard until so many connections are, or time is up.
    fileprivate static func hear(_ count: Int, _ events: ConntrackEvents) throws -> [TrackedConnection] {
        var heard: [TrackedConnection] = []
        _ = try eventually {
            var descriptor = pollfd(fd: events.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&descriptor, 1, 100)
            let batch = try events.receive { heard.append($0) }
            #expect(batch.malformedMessages == 0 && !batch.overflowed)
            return heard.count >= count
        }
        return heard
    }

    @Test("A connection that is no longer tracked is heard of, with its mark and bytes", arguments: IPFamily.allCases)
    func events(_ family: IPFamily) async {
        await #expect(processExitsWith: .success) { [number = family.rawValue as UInt8] in
            let family = try #require(IPFamily(rawValue: number))
            Self.track()
            #expect(ConntrackSetting.accounting.turnOn() == .turnedOn)
            #expect(ConntrackSetting.accounting.turnOn() == .wasOn)
            #expect(ConntrackSetting.events.turnOn() == .wasOn)
            let events = try ConntrackEvents()
            let listener = LoopbackListener(port: 22)
            let connection = LoopbackConnection(family, to: listener)
            let other = LoopbackConnection(family, to: listener)
            connection.send(1000)

            let before = Set(try ConntrackTable.list().map(\.flow))
            #expect(before == [connection.flow, other.flow])
            let nothing = try events.receive { _ in }
            #expect(nothing == ConntrackEvents.Batch())
            #expect(try ConntrackTable.remove(connection.flow))
            #expect(try ConntrackTable.list().map(\.flow) == [other.flow])
            #expect(try !ConntrackTable.remove(connection.flow))

            let heard = try Self.hear(1, events)
            try #require(heard.count == 1)
            #expect(heard[0].flow == connection.flow)
            #expect(heard[0].replyFlow == connection.flow)
            #expect(heard[0].mark == 0x1234)
            // SYN, ACK, the data and perhaps more of them, each with the headers of IP and TCP.
            #expect(try #require(heard[0].originalBytes) > 1000 + 3 * 40)
            #expect(try #require(heard[0].replyBytes) >= 2 * 40)
            #expect(heard[0].state == .established)
        }
    }

    @Test("Both ends closing it, or a RST, is heard of when the kernel forgets it", .timeLimit(.minutes(2)))
    func ends() async {
        await #expect(processExitsWith: .success) {
            Self.track()
            for name in ["time_wait", "close"] {
                NetworkNamespace.run("sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_\(name)=1")
            }
            let events = try ConntrackEvents()
            let listener = LoopbackListener(port: 22)
            var inOrder: LoopbackConnection? = LoopbackConnection(.ipv4, to: listener)
            var byReset: LoopbackConnection? = LoopbackConnection(.ipv6, to: listener)
            let flows: Set = [try #require(inOrder).flow, try #require(byReset).flow]
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                try #require(byReset).client, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
            inOrder = nil
            byReset = nil
            // A listing removes what is out of time; the kernel's own rounds may take a minute to come by.
            let areGone = try eventually { try ConntrackTable.list().isEmpty }
            #expect(areGone)
            let heard = try Self.hear(2, events)
            #expect(Set(heard.map(\.flow)) == flows)
            #expect(Set(heard.compactMap(\.state)) == [.timeWait, .close])
            #expect(heard.allSatisfy { $0.state?.isOver == true })
            // Nobody counted.
            #expect(heard.allSatisfy { $0.originalBytes == nil && $0.replyBytes == nil })
        }
    }

    @Test("Events that come too fast are reported as lost")
    func overflow() async {
        await #expect(processExitsWith: .success) {
            Self.track()
            let events = try ConntrackEvents(receiveBuffer: 1)
            let listener = LoopbackListener(port: 22)
            let connections = (0..<50).map { _ in LoopbackConnection(.ipv4, to: listener) }
            for connection in connections { #expect(try ConntrackTable.remove(connection.flow)) }
            var batches: [ConntrackEvents.Batch] = []
            repeat {
                let batch = try events.receive { _ in }
                batches.append(batch)
            } while batches.last != ConntrackEvents.Batch()
            #expect(batches.contains { $0.overflowed })
            #expect(batches.map(\.connections).reduce(0, +) < 50)
            // And it goes on.
            let next = LoopbackConnection(.ipv4, to: listener)
            #expect(try ConntrackTable.remove(next.flow))
            let heard = try Self.hear(1, events)
            #expect(heard.map(\.flow) == [next.flow])
        }
    }

    @Test("Other protocols are not told of")
    func otherProtocols() async {
        await #expect(processExitsWith: .success) {
            Self.track()
            let events = try ConntrackEvents()
            NetworkNamespace.run("conntrack -I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 22 -t 60 2>/dev/null")
            #expect(try ConntrackTable.list() == [])
            NetworkNamespace.run("conntrack -D -p udp >/dev/null 2>&1")
            var connections = 0
            let isHeard = try eventually {
                let batch = try events.receive { _ in connections += 1 }
                return batch.messages == 1 && batch.malformedMessages == 0
            }
            #expect(isHeard && connections == 0)
        }
    }

    @Test("Connections are listed by ports and by bits of the mark")
    func filters() async {
        await #expect(processExitsWith: .success) {
            Self.track()
            #expect(ConntrackSetting.accounting.turnOn() == .turnedOn)
            let marked = LoopbackListener(port: 22)
            let plain = LoopbackListener(port: 443)
            let connections = IPFamily.allCases.flatMap { family in
                [marked, plain].map { LoopbackConnection(family, to: $0) }
            }
            func listed(_ filter: ConntrackTable.Filter) throws -> Set<Flow> {
                Set(try ConntrackTable.list(filter).map(\.flow))
            }
            let all = Set(connections.map(\.flow))
            let ssh = all.filter { $0.serverPort == 22 }
            #expect(all.count == 4 && ssh.count == 2)
            #expect(try listed(ConntrackTable.Filter()) == all)
            #expect(try listed(ConntrackTable.Filter(ports: [22])) == ssh)
            #expect(try listed(ConntrackTable.Filter(ports: [])) == [])
            #expect(try listed(ConntrackTable.Filter(ports: [22, 443])) == all)
            #expect(try listed(ConntrackTable.Filter(ports: nil, markBits: 0x1000)) == ssh)
            #expect(try listed(ConntrackTable.Filter(ports: [443], markBits: 0x1000)) == [])
            #expect(try listed(ConntrackTable.Filter(ports: nil, markBits: 0x1001)) == [])
            var unmarked = ConntrackTable.Filter()
            unmarked.markMask = 0x1000
            #expect(try listed(unmarked) == all.subtracting(ssh))
            let everything = try ConntrackTable.list()
            #expect(everything.allSatisfy { ($0.originalBytes ?? 0) > 0 && ($0.replyBytes ?? 0) > 0 })
        }
    }

    @Test("Connections of an address are removed, and no others")
    func removeConnections() async {
        await #expect(processExitsWith: .success) {
            Self.track()
            let marked = LoopbackListener(port: 22)
            let plain = LoopbackListener(port: 443)
            let connections = IPFamily.allCases.flatMap { family in
                [marked, marked, plain].map { LoopbackConnection(family, to: $0) }
            }
            #expect(try ConntrackTable.removeConnections(from: IPAddress(192, 0, 2, 1), toPorts: [22]) == 0)
            #expect(try ConntrackTable.removeConnections(from: IPAddress(127, 0, 0, 1), toPorts: [22, 80]) == 2)
            #expect(try ConntrackTable.removeConnections(from: IPAddress(high: 0, low: 1), toPorts: [22]) == 2)
            let left = Set(try ConntrackTable.list().map(\.flow))
            #expect(left == Set(connections.map(\.flow).filter { $0.serverPort == 443 }))
        }
    }

    @Test("A connection that the kernel gives another id is not taken for the one that is meant")
    func otherConnection() async {
        await #expect(processExitsWith: .success) {
            Self.track()
            let listener = LoopbackListener(port: 22)
            let connection = LoopbackConnection(.ipv6, to: listener)
            let entry = try #require(ConntrackTable.list().first)
            let id = try #require(entry.id)
            #expect(entry.flow == connection.flow)
            #expect(try !ConntrackTable.remove(entry.flow, id: id ^ 1, zone: nil, originalZone: nil))
            #expect(try ConntrackTable.list().count == 1)
            #expect(try ConntrackTable.remove(entry))
            #expect(try !ConntrackTable.remove(entry))
        }
    }

    @Test("Connections in zones can be removed")
    func zones() async {
        await #expect(processExitsWith: .success) {
            Self.track()
            NetworkNamespace.run("iptables -w -t raw -A OUTPUT -p tcp --dport 22 -j CT --zone-orig 7")
            NetworkNamespace.run("iptables -w -t raw -A OUTPUT -p tcp --dport 443 -j CT --zone 8")
            NetworkNamespace.run("iptables -w -t raw -A OUTPUT -p tcp --sport 443 -j CT --zone 8")
            let listeners = [22, 443].map(LoopbackListener.init)
            let connections = listeners.map { LoopbackConnection(.ipv4, to: $0) }
            for connection in connections {
                #expect(try !ConntrackTable.remove(connection.flow))
                let entries = try ConntrackTable.list().filter { $0.flow == connection.flow }
                #expect(entries.count == 1)
                for entry in entries { #expect(try ConntrackTable.remove(entry)) }
            }
        }
    }

    @Test("A socket is closed, and its neighbours are not", arguments: IPFamily.allCases)
    func socketDestroyer(_ family: IPFamily) async {
        await #expect(processExitsWith: .success) { [number = family.rawValue as UInt8] in
            let family = try #require(IPFamily(rawValue: number))
            NetworkNamespace.enterNew()
            let listener = LoopbackListener(port: 22)
            let meant = LoopbackConnection(family, to: listener)
            let neighbours = (0..<3).map { _ in LoopbackConnection(family, to: listener) }
            func destroy() throws -> Bool {
                try SocketDestroyer.destroyConnection(meant.flow)
            }
            #expect(try destroy())
            #expect(meant.error(at: meant.server) == ECONNABORTED)
            #expect(meant.error(at: meant.client) == ECONNRESET)
            #expect(try !destroy())
            for neighbour in neighbours { neighbour.send(1) }
            // The listening socket, too, is there still.
            LoopbackConnection(family, to: listener).send(1)
        }
    }

    @Test("Settings of a kernel that has nothing to be set, or that does not let us")
    func settings() async {
        await #expect(processExitsWith: .success) {
            NetworkNamespace.enterNew()
            NetworkNamespace.run("sysctl -qw net.netfilter.nf_conntrack_events=0")
            dropPrivileges()
            let path = "/proc/sys/net/netfilter/nf_conntrack_events"
            #expect(ConntrackSetting.events.turnOn() == .failed(SystemError("write \(path)", EACCES)))
            regainPrivileges()
            #expect(ConntrackSetting.events.turnOn() == .turnedOn)
        }
    }
}
