// SPDX-License-Identifier: GPL-2.0-or-later
import DaemonCore
import Glibc
import KnockEngine
import Linux
import Netfilter
import TestSupport
import Testing
import Wire

@Suite struct PacketLoopTests {
    private static let now = Instant(unixSeconds: 1_710_000_000, uptime: 42)
    private static let packet = TestPacket().bytes

    /// Brings one packet through.
    private static func turn(
        _ action: Verdict.Action, hook: NetfilterHook = .prerouting, mark: UInt32, markBit: UInt32
    ) throws -> (verdict: QueueVerdict, bytes: [UInt8], direction: Direction) {
        var loop = PacketLoop(
            queue: ScriptedQueue([(QueuedPacket(hook: hook, mark: mark), packet)]),
            engine: ScriptedEngine(actions: [action]), markBit: markBit,
            clock: { now })
        let batch = try loop.turn()
        #expect(batch.packets == 1)
        return (loop.queue.verdicts[0], loop.queue.bytes[0], loop.engine.seen[0].direction)
    }

    private static let rewrite = Verdict.Action.rewrite(HeaderRewrite(acknowledgmentNumber: 7))

    @Test(
        "Accepted packets go through their table once more, marked, unless they are marked already; other bits stay",
        arguments: [
            (.accept, 0x1000, 0, .repeat(mark: 0x1000)),
            (.accept, 0x1000, 0x1000, .accept(mark: 0)),
            (.accept, 0x1000, 0xffff_ffff, .accept(mark: 0xffff_efff)),
            (.accept, 0x1000, 0xffff_efff, .repeat(mark: 0xffff_ffff)),
            (.acceptAsVerified, 0x1000, 0, .repeat(mark: 0x1000)),
            (.acceptAsVerified, 0x1000, 0x1000, .accept(mark: 0x1000)),
            (.acceptAsVerified, 0x1000, 0xff, .repeat(mark: 0x10ff)),
            (rewrite, 0x1000, 1, .repeatModified(mark: 0x1001)),
            (rewrite, 0x1000, 0x1001, .acceptModified(mark: 1)),
            (.reset, 0x1000, 0x1000, .drop),
            (.drop, 0x1000, 0x1000, .drop),
            // Without a bit nothing is repeated: it would come again.
            (.accept, 0, 0xffff_ffff, .accept(mark: 0xffff_ffff)),
            (rewrite, 0, 0x1234, .acceptModified(mark: 0x1234)),
        ] as [(Verdict.Action, UInt32, UInt32, QueueVerdict)])
    func mark(_ action: Verdict.Action, _ bit: UInt32, _ before: UInt32, _ expected: QueueVerdict) throws {
        #expect(try Self.turn(action, mark: before, markBit: bit).verdict == expected)
    }

    @Test("Packets from POSTROUTING go out, all others come in", arguments: UInt8(0)...5)
    func direction(_ hook: UInt8) throws {
        let direction = try Self.turn(.accept, hook: NetfilterHook(rawValue: hook), mark: 0, markBit: 0).direction
        #expect(direction == (hook == 4 ? .outbound : .inbound))
    }

    @Test(
        "A packet is changed just where the verdict says so",
        arguments: [
            (rewrite, true), (.accept, false), (.acceptAsVerified, false), (.drop, false),
        ] as [(Verdict.Action, Bool)])
    func bytes(_ action: Verdict.Action, _ isChanged: Bool) throws {
        let bytes = try Self.turn(action, mark: 0, markBit: 1).bytes
        #expect((bytes != Self.packet) == isChanged)
        #expect(try ParsedPacket(bytes).acknowledgmentNumber == (isChanged ? 7 : 0))
    }

    @Test("A batch is judged in its order, at one time; bytes that are no segment too")
    func batch() throws {
        let packets = [Self.packet, [], Self.packet, [0x45]]
        var readings = 0
        var loop = PacketLoop(
            queue: ScriptedQueue(packets.map { (QueuedPacket(hook: .prerouting, mark: 1), $0) }),
            engine: ScriptedEngine(actions: [.accept, .acceptAsVerified]), markBit: 2,
            clock: {
                readings += 1
                return Instant(unixSeconds: Int64(readings), uptime: 0)
            })
        #expect(try loop.turn().packets == 4)
        let verdicts = loop.queue.verdicts
        #expect(verdicts == [.repeat(mark: 3), .drop, .repeat(mark: 3), .drop])
        let times = loop.engine.seen.map(\.now.unixSeconds)
        #expect(times == [1, 1])
        #expect(try loop.turn().packets == 0)
        #expect(readings == 2)
    }

    @Test("An error of the queue is handed on") func error() {
        var queue = ScriptedQueue([])
        queue.error = SystemError("receive from queue", ENOBUFS)
        var loop = PacketLoop(queue: queue, engine: ScriptedEngine(), markBit: 0, clock: { Self.now })
        let thrown: SystemError?
        do throws(SystemError) {
            _ = try loop.turn()
            thrown = nil
        } catch {
            thrown = error
        }
        #expect(thrown == SystemError("receive from queue", ENOBUFS))
    }
}
