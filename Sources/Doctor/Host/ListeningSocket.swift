// SPDX-License-Identifier: GPL-2.0-or-later

/// A listening socket, from /proc/net/tcp or /proc/net/tcp6 (proc(5)).
package struct ListeningSocket: Equatable, Sendable {
    /// The port that it listens on.
    package let port: UInt16
    /// Whether it listens only on a loopback address.
    package let isLoopback: Bool

    /// Reads the whole file; lines that are too short or malformed are skipped.
    package static func parse(_ text: String) -> [ListeningSocket] {
        text.split(separator: "\n").compactMap { line in
            let columns = line.split(separator: " ")
            // State 0A is TCP_LISTEN of net/tcp_states.h.
            guard columns.count >= 4, columns[3] == "0A" else { return nil }
            let ends = columns[1].split(separator: ":")
            guard ends.count == 2, let port = UInt16(ends[1], radix: 16) else { return nil }
            return ListeningSocket(port: port, isLoopback: isLoopback(ends[0]))
        }
    }

    /// Whether an address is a loopback address.
    ///
    /// The digits are 32-bit words in this host's byte order, which is nearly always little-endian.
    private static func isLoopback(_ digits: Substring) -> Bool {
        let words = stride(from: 0, to: digits.count, by: 8).map { offset in
            UInt32(digits.dropFirst(offset).prefix(8), radix: 16).map { UInt32(bigEndian: $0) } ?? 0
        }
        switch words.count {
        case 1: return words[0] >> 24 == 127
        case 4: return words == [0, 0, 0, 1] || words.prefix(3) == [0, 0, 0xffff] && words[3] >> 24 == 127
        default: return false
        }
    }
}
