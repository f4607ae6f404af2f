// SPDX-License-Identifier: GPL-2.0-or-later

/// A parser of the routing tables in /proc/net/route and /proc/net/ipv6_route (proc(5)).
package enum RouteTable {
    /// The table of IPv4.
    static let path = "/proc/net/route"

    /// Returns the interfaces of the IPv4 default routes, each once.
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

    /// Returns the interfaces of the IPv6 default routes, without loopback and reject routes.
    ///
    /// The columns are destination, prefix length, ..., flags, interface.
    package static func defaultInterfacesOfIPv6(_ text: String) -> [String] {
        var found: [String] = []
        for line in text.split(separator: "\n") {
            let columns = line.split { $0 == "\t" || $0 == " " }
            // RTF_REJECT of linux/route.h.
            guard columns.count == 10, columns[1] == "00", columns[0].allSatisfy({ $0 == "0" }),
                let flags = UInt32(columns[8], radix: 16), flags & 0x200 == 0
            else { continue }
            let name = String(columns[9])
            if name != "lo", !found.contains(name) { found.append(name) }
        }
        return found
    }
}
