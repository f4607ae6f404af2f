// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@testable import KnockEngine

@Suite("Server: thousands of connections a second, for minutes") struct RushTests {
    /// The configuration of a daemon, or a tenth of it where code is not optimised.
    private static let part: Int = {
        #if DEBUG
            10
        #else
            1
        #endif
    }()

    /// A server whose clocks are set by hand, with the chores of each second.
    private final class Server {
        let shared: SharedState
        var now = Instant(unixSeconds: 1_800_000_030, uptime: 5_000_000)
        private var number: UInt32 = 0

        init() {
            var configuration = ServerEngine.Configuration.usual
            configuration.replayCapacity /= part
            shared = SharedState(configuration)
        }

        /// Uses so many codes, as the clients of one second do.
        ///
        /// - Returns: How many were refused, and why the last one was.
        func second(_ count: Int) -> (refused: Int, Reason?) {
            var refused = 0
            var last: Reason?
            for _ in 0..<count {
                number += 1
                let handshake = Handshake(
                    clientAddress: IPAddress(ipv4: 0x0a00_0000 | number % 32), clientISN: number &* 0x9e37_79b1)
                // A third of the clients has a clock that is a minute slow, a third one that is fast.
                let slot = TimeSlot(number: now.slot.number - 1 + UInt64(number % 3))
                if let reason = shared.claim(UsedCode(handshake: handshake, key: KeyID(0)), slot: slot, at: now) {
                    refused += 1
                    last = reason
                }
            }
            now.unixSeconds += 1
            now.uptime += 1000
            shared.keepRoom(at: now)
            return (refused, last)
        }
    }

    @Test("Ten thousand a second for ten minutes, without a refusal; then the memory goes back") func sustained() {
        let server = Server()
        let before = server.shared.usedCodeMemory
        var most = (reserved: 0, touched: 0)
        var taken = 0
        for second in 0..<600 {
            let (refused, reason) = server.second(10_000 / Self.part)
            #expect(refused == 0, "second \(second): \(refused) are \(String(describing: reason))")
            let memory = server.shared.usedCodeMemory
            most = (max(most.reserved, memory.reserved), max(most.touched, memory.touched))
            taken = max(taken, server.shared.usedCodes.taken)
        }
        #expect(taken == 179 * 10_000 / Self.part, "when those of the oldest second have gone")
        #expect(taken * 100 < server.shared.usedCodes.capacity * 80, "so no warning comes")
        let spare = 3 * 65_536 * 36
        #expect(most.touched <= 80 * 1_000_000 / Self.part + spare)
        #expect(most.reserved <= 95 * 1_000_000 / Self.part + spare)
        for _ in 0..<182 { _ = server.second(0) }
        #expect(server.shared.usedCodes.taken == 0)
        let after = server.shared.usedCodeMemory
        #expect(after.touched <= before.touched + 65_536)
        #expect(after.reserved <= before.reserved + spare)
    }

    @Test("Without time the last 262,144 are remembered") func withoutTime() {
        var configuration = ServerEngine.Configuration.usual
        configuration.usesTime = false
        #expect(SharedState(configuration).usedCodes == (0, 262_144))
        #expect(SharedState.mostMemory(configuration) == 0)
    }

    @Test("Beyond the bound in memory, new ones are refused, and all goes on when there is room again") func beyond() {
        let server = Server()
        let capacity = server.shared.usedCodes.capacity
        var refusals = 0
        for _ in 0..<100 {
            let (refused, reason) = server.second(capacity / 80)
            refusals += refused
            #expect(refused == 0 || reason == .replayCacheFull)
        }
        #expect(server.shared.usedCodes == (capacity, capacity))
        #expect(refusals > 0)
        #expect(server.shared.usedCodeMemory.reserved <= 40 * capacity + 65_536 * 36)
        for _ in 0..<181 { _ = server.second(0) }
        #expect(server.second(10_000 / Self.part).refused == 0)
    }
}
