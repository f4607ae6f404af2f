// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import Testing

/// Bytes that are no TCP segment.
struct WireErrorPacket: Sendable, CustomTestStringConvertible {
    let reason: Reason
    let bytes: [UInt8]

    var testDescription: String { "\(reason), \(bytes.count) bytes" }

    static let all: [WireErrorPacket] = {
        let syn = Conversation().plainSYN
        return [
            WireErrorPacket(reason: .truncated, bytes: []),
            WireErrorPacket(reason: .truncated, bytes: Array(syn.prefix(39))),
            WireErrorPacket(reason: .malformed, bytes: [0x41] + syn.dropFirst()),
            WireErrorPacket(reason: .fragment, bytes: Array(syn[..<6]) + [0x20, 0] + syn[8...]),
            WireErrorPacket(reason: .notTCP, bytes: Array(syn[..<9]) + [17] + syn[10...]),
        ]
    }()
}
