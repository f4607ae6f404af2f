// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: lockouts are listed and ended") struct LockoutListTests {
    @Test func listAndUnlock() throws {
        var configuration = ServerEngine.Configuration.usual
        configuration.handshakeCapacity = 64
        let shared = SharedState(configuration)
        let bench = ServerBench()
        bench.engine = ServerEngine(guests: [Guest(TestKeys.published)], configuration: configuration, shared: shared)
        let (talk, other) = (Conversation(), Conversation().with { ($0.clientPort, $0.clientISN) = (7, 7) })
        #expect(shared.lockedOut(at: bench.now).isEmpty)
        bench.answer(other)
        bench.wait(seconds: 1)
        bench.lockOut(talk)
        let listed = try #require(shared.lockedOut(at: bench.now).first)
        #expect(listed.subject.address == talk.client)
        #expect(listed.lockout.since == bench.now.uptime)
        #expect(listed.lockout.until == bench.now.uptime + 120_000)
        #expect(listed.lockout.reason == .wrongAcknowledgment)
        #expect(shared.unlock(talk.client, at: bench.now))
        #expect(!shared.unlock(talk.client, at: bench.now))
        #expect(!shared.unlock(talk.server, at: bench.now))
        #expect(shared.lockedOut(at: bench.now).isEmpty)
        // What ended with the lockout stays ended, new handshakes begin.
        #expect(bench.receive(other.thirdACK).reason == .segmentWithoutHandshake)
        bench.wait(seconds: 1)
        #expect(bench.verify(talk.with { $0.clientISN = 99 }).reason == .acknowledgmentVerified)
    }

    @Test("Another duration is for later lockouts") func duration() {
        var configuration = ServerEngine.Configuration.usual
        let shared = SharedState(configuration)
        let bench = ServerBench()
        bench.engine = ServerEngine(guests: [Guest(TestKeys.published)], configuration: configuration, shared: shared)
        bench.lockOut(Conversation())
        configuration.lockoutSeconds = 5
        shared.adopt(configuration)
        bench.lockOut(Conversation(.ipv6))
        bench.wait(seconds: 5)
        #expect(shared.lockedOut(at: bench.now).map(\.subject.address) == [Conversation().client])
    }
}
