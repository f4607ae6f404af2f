// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

/// Keys of several guests, made once: number n is always the same.
enum ManyKeys {
    static let all: [KeySchedule] = (0..<1000).compactMap { make($0) }

    private static func make(_ number: Int) -> KeySchedule? {
        var random = SeededGenerator(seed: UInt64(number) &+ 77)
        let block = (0..<64).map { _ in UInt8.random(in: 0...255, using: &random) }
        let material = (0..<KeySchedule.materialLength).map { block[$0 % 64] ^ UInt8(truncatingIfNeeded: $0 / 64) }
        return try? KeySchedule(material: material.span)
    }
}

/// A server with guests, and packets of clients who hold their keys.
final class GuestBench {
    let bench: ServerBench
    var configuration: ServerEngine.Configuration

    init(_ guests: [Guest], _ change: (inout ServerEngine.Configuration) -> Void = { _ in }) {
        bench = ServerBench()
        configuration = ServerEngine.Configuration.usual
        configuration.targetPorts = [22, 80]
        (configuration.handshakeCapacity, configuration.replayCapacity, configuration.lockoutCapacity) = (
            2048, 4096, 64
        )
        change(&configuration)
        bench.engine = ServerEngine(guests: guests, configuration: configuration)
    }

    /// A SYN as the client of a target makes it.
    func syn(
        _ talk: Conversation, _ keys: KeySchedule, isRoaming: Bool = false, sendsHint: Bool = true,
        usesTime: Bool = true
    ) -> [UInt8] {
        let target = Target(
            id: KeyID(0), keys: keys,
            prefixes: [IPPrefix(talk.server, length: talk.server.family == .ipv4 ? 32 : 128)]
                .compactMap(\.self),
            ports: [talk.serverPort], binding: isRoaming ? .none : .ownAddress, usesTime: usesTime,
            sendsHint: sendsHint)
        var client = ClientEngine(targets: [target], handshakeCapacity: 4)
        var bytes = talk.plainSYN
        var span = bytes.mutableSpan
        #expect(client.process(&span, .outbound, at: bench.now).reason == .synCoded)
        return bytes
    }

    /// The key of each event since it was last asked.
    func keys() -> [UInt32?] {
        var keys: [UInt32?] = []
        while let event = bench.engine.nextEvent() { keys.append(event.key?.number) }
        return keys
    }
}
