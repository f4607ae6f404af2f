// SPDX-License-Identifier: GPL-2.0-or-later

/// A socket that waits for connections, from /proc/net/tcp or /proc/net/tcp6 (proc(5)).
package struct ListeningSocket: Equatable, Sendable {
    /// Its port.
    package let port: UInt16
    /// Whether only programs of this host reach it.
    package let isLoopback: Bool

    /// Reads the whole file; lines that are too short or have no numbers are passed over.
    package static func parse(_ text: String) -> [ListeningSocket] {
        text.split(separator: "\n").compactMap { line in
            let columns = line.split(separator: " ")
            // The state of sockets that listen is 0A: TCP_LISTEN of net/tcp_states.h.
            guard columns.count >= 4, columns[3] == "0A" else { return nil }
            let ends = columns[1].split(separator: ":")
            guard ends.count == 2, let port = UInt16(ends[1], radix: 16) else { return nil }
            return ListeningSocket(port: port, isLoopback: isLoopback(ends[0]))
        }
    }

    /// The address is in words of 32 bits, each as this host reads it from memory: little-endian on nearly all.
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

/// The routes of /proc/net/route (proc(5)).
package enum RouteTable {
    /// The interfaces that a default route leads to, each once.
    package static func defaultInterfaces(_ text: String) -> [String] {
        var found: [String] = []
        for line in text.split(separator: "\n").dropFirst() {
            let columns = line.split { $0 == "\t" || $0 == " " }
            guard columns.count >= 8, UInt32(columns[1], radix: 16) == 0, UInt32(columns[7], radix: 16) == 0
            else { continue }
            let name = String(columns[0])
            if !found.contains(name) { found.append(name) }
        }
        return found
    }

    /// The same of /proc/net/ipv6_route: destination, length, ..., flags, interface; without routes that refuse.
    package static func defaultInterfacesOfIPv6(_ text: String) -> [String] {
        var found: [String] = []
        for line in text.split(separator: "\n") {
            let columns = line.split { $0 == "\t" || $0 == " " }
            // RTF_REJECT, linux/ipv6_route.h and route.h.
            guard columns.count == 10, columns[1] == "00", columns[0].allSatisfy({ $0 == "0" }),
                let flags = UInt32(columns[8], radix: 16), flags & 0x200 == 0
            else { continue }
            let name = String(columns[9])
            if name != "lo", !found.contains(name) { found.append(name) }
        }
        return found
    }
}
