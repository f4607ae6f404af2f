// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux

/// Detects rule changes made by `iptables-legacy`, for which the kernel sends no notifications.
///
/// It compares the size and the number of entries of each table (linux/netfilter_ipv4/ip_tables.h, `IPT_SO_GET_INFO`).
/// That takes one system call per table, while reading the rules would take several processes.
public final class LegacyRules {
    private struct Table {
        let socket: Int32
        let level: Int32
        let name: String
        var seen: ipt_getinfo?
    }

    /// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`, which have the same value.
    private static let getInfo = Int32(IPT_BASE_CTL)

    private let sockets: [Int32]
    private var looks: [Table] = []

    /// Opens a socket for each family in the calling thread's network namespace.
    ///
    /// A table that does not exist yet is created, empty, when it is first checked.
    ///
    /// - Parameter tables: The names of the tables, in both families.
    /// - Throws: `SystemError` if no IPv4 socket can be opened.
    public init(tables: [String]) throws(SystemError) {
        let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        let ipv4 = socket(AF_INET, kind, 0)
        guard ipv4 >= 0 else { throw SystemError("socket of IPv4") }
        let ipv6 = socket(AF_INET6, kind, 0)
        sockets = [ipv4, ipv6]
        for name in tables {
            looks.append(Table(socket: ipv4, level: Int32(IPPROTO_IP), name: name))
            if ipv6 >= 0 { looks.append(Table(socket: ipv6, level: Int32(IPPROTO_IPV6), name: name)) }
        }
    }

    deinit {
        for socket in sockets where socket >= 0 { close(socket) }
    }

    /// Checks the tables; needs CAP_NET_ADMIN.
    ///
    /// - Returns: Whether a table has another size or other chains than at the last call; false at the first call.
    public func haveChanged() -> Bool {
        var hasChanged = false
        for index in looks.indices {
            let now = Self.look(looks[index])
            if let seen = looks[index].seen, !Self.isSame(seen, now) { hasChanged = true }
            looks[index].seen = now
        }
        return hasChanged
    }

    /// Returns the kernel's information about a table; of size 0 if there is none.
    private static func look(_ table: Table) -> ipt_getinfo {
        var info = ipt_getinfo()
        unsafe withUnsafeMutableBytes(of: &info.name) { field in
            unsafe field.copyBytes(from: table.name.utf8.prefix(field.count - 1))
        }
        var length = socklen_t(MemoryLayout<ipt_getinfo>.size)
        let status = unsafe getsockopt(table.socket, table.level, getInfo, &info, &length)
        return status == 0 ? info : ipt_getinfo()
    }

    private static func isSame(_ left: ipt_getinfo, _ right: ipt_getinfo) -> Bool {
        var (left, right) = (left, right)
        return unsafe withUnsafeBytes(of: &left) { left in
            unsafe withUnsafeBytes(of: &right) { right in unsafe left.elementsEqual(right) }
        }
    }
}
