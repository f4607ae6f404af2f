// SPDX-License-Identifier: GPL-2.0-or-later
internal import KeyFiles
internal import KnockEngine
internal import KnockProtocol
internal import TestSupport
internal import Wire

/// Who knocks in the targets for the engines, and at whom.
enum FuzzGuests {
    /// The time at which each input begins: in the middle of a slot.
    static let start = Instant(unixSeconds: 1_710_000_030, uptime: 5_000_000)
    /// The last key is nobody's.
    static let keys: [KeySchedule] =
        [TestKeys.published, TestKeys.other]
        + (0..<12).map { number in
            var generator = SeededGenerator(seed: UInt64(number))
            guard let keys = try? KeySchedule(material: generator.bytes(KeySchedule.materialLength).span) else {
                preconditionFailure("no memory for a key to test with")
            }
            return keys
        }

    static let clients = [
        IPAddress(192, 0, 2, 1), IPAddress(192, 0, 2, 2), IPAddress(203, 0, 113, 9),
        IPAddress(high: 0x2001_0db8_0000_0001, low: 1), IPAddress(high: 0x2001_0db8_0000_0002, low: 1),
    ]
    static let servers = [
        IPAddress(198, 51, 100, 22), IPAddress(198, 51, 100, 23), IPAddress(high: 0x2001_0db8_ffff_0000, low: 22),
    ]

    /// The server that a client talks to, in its family.
    static func server(for client: IPAddress, _ number: UInt8 = 0) -> IPAddress {
        client.family == .ipv6 ? servers[2] : servers[Int(number & 1)]
    }

    /// All guests that there can be: the first four differ, the others only make them many.
    static let all: [Guest] = keys.dropLast().enumerated().map { position, keys in
        let id = KeyID(UInt32(position + 1))
        return switch position {
        case 1: Guest(id: id, keys: keys, ports: [22], isRoaming: true)
        case 2:
            Guest(
                id: id, keys: keys, ports: [443],
                networks: [IPPrefix(clients[0], length: 32), IPPrefix(clients[3], length: 64)].compactMap(\.self),
                expires: start.unixSeconds + 600)
        case 3: Guest(id: id, keys: keys, ports: [])
        default: Guest(id: id, keys: keys, ports: [22, 443])
        }
    }

    /// Some of them: a bit for each of the first four, and one for the others.
    static func some(_ mask: UInt8) -> [Guest] {
        all.enumerated().filter { mask & 1 << UInt8(min($0.offset, 4)) != 0 }.map(\.element)
    }
}
