// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux
internal import Synchronization
internal import Wire

/// Detects firewall rule changes made by nft or the iptables based on it (linux/netfilter/nf_tables.h, multicast group
/// NFNLGRP_NFTABLES).
///
/// The older iptables (`iptables-legacy`) causes no notifications; see `LegacyRules`.
public final class RuleChanges: Sendable {
    private struct Receiver {
        let socket: NetlinkSocket
        var buffer = [UInt8](repeating: 0, count: 32 * 1024)
    }

    /// The messages about changes of rules; others are ignored, since those about set elements can be many.
    private static let kinds: Set<UInt16> = Set(
        [
            NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN, NFT_MSG_NEWRULE, NFT_MSG_DELRULE,
        ].map { UInt16(truncatingIfNeeded: $0.rawValue) })
    /// The attribute with the name of the table: it has the same number in messages about tables, chains and rules.
    private static let tableName = UInt16(NFTA_TABLE_NAME.rawValue)
    /// The maximum number of datagrams read by one call to `receive`.
    private static let batchSize = 256
    /// The size of the socket's receive buffer in bytes.
    private static let receiveBuffer: Int32 = 256 * 1024

    /// The file descriptor to poll for changes.
    public let descriptor: Int32
    private let ignored: [[UInt8]]
    private let receiver: Mutex<Receiver>

    /// Starts listening in the calling thread's network namespace.
    ///
    /// - Parameter ignored: The names of tables of iptables that do not matter. (Tables of other families of nft may
    ///   have the same names, and do matter.)
    /// - Throws: `SystemError` if the kernel has no nftables or this process may not listen.
    public init(ignoring ignored: [String]) throws(SystemError) {
        self.ignored = ignored.map { Array($0.utf8) }
        let socket = try NetlinkSocket(
            family: NETLINK_NETFILTER, groups: 1 << (UInt32(NFNLGRP_NFTABLES.rawValue) - 1), waits: false)
        socket.setReceiveBuffer(Self.receiveBuffer)
        descriptor = socket.descriptor
        receiver = Mutex(Receiver(socket: socket))
    }

    /// Reads what is waiting, without blocking.
    ///
    /// - Returns: Whether a table, chain or rule has changed; also true if messages were lost.
    /// - Throws: `SystemError` if the socket has become unusable.
    public func receive() throws(SystemError) -> Bool {
        try receiver.withLock { receiver throws(SystemError) in
            var hasChanged = false
            for _ in 0..<Self.batchSize {
                let socket = receiver.socket
                let count = unsafe receiver.buffer.withUnsafeMutableBytes { bytes in
                    unsafe socket.receive(bytes)
                }
                guard count < 0 else {
                    let found = unsafe receiver.buffer.withUnsafeBytes { bytes in
                        unsafe Self.isChange(UnsafeRawBufferPointer(rebasing: bytes[..<count]), ignoring: ignored)
                    }
                    hasChanged = hasChanged || found
                    continue
                }
                switch Glibc.errno {
                case EAGAIN: return hasChanged
                // Lost, or longer than the buffer.
                case ENOBUFS, ENOSPC: hasChanged = true
                default: throw SystemError("receive changes of rules")
                }
            }
            return hasChanged
        }
    }

    /// Returns whether a datagram has a message about a change in a table that is not ignored.
    static func isChange(_ datagram: UnsafeRawBufferPointer, ignoring ignored: [[UInt8]]) -> Bool {
        var rest = Int32(clamping: datagram.count)
        guard var message = unsafe datagram.assumingMemoryBound(to: nlmsghdr.self).baseAddress else { return false }
        while unsafe NetlinkSocket.isWhole(message, rest) {
            let type = unsafe message.pointee.nlmsg_type
            if type >> 8 == UInt16(NFNL_SUBSYS_NFTABLES), kinds.contains(type & 0xff),
                let (family, name) = unsafe table(message),
                !(ignored.contains(name) && [UInt8(AF_INET), UInt8(AF_INET6)].contains(family))
            {
                return true
            }
            guard let next = unsafe mnl_nlmsg_next(message, &rest) else { return false }
            unsafe message = UnsafePointer(next)
        }
        return false
    }

    /// Returns the family and the name of the table, without the terminating zero.
    private static func table(_ message: UnsafePointer<nlmsghdr>) -> (family: UInt8, name: [UInt8])? {
        let length = unsafe Int(message.pointee.nlmsg_len)
        let bytes = unsafe UnsafeRawBufferPointer(start: message, count: length)
        let start = MemoryLayout<nlmsghdr>.size + MemoryLayout<nfgenmsg>.size
        guard start <= length else { return nil }
        let span = unsafe Span<UInt8>(_unsafeBytes: bytes)
        var attributes = NetlinkAttributes(in: start..<length)
        while let attribute = attributes.next(in: span) {
            guard attribute.type == tableName else { continue }
            // The family is the first byte of nfgenmsg.
            return unsafe (bytes[MemoryLayout<nlmsghdr>.size], Array(bytes[attribute.value].prefix { $0 != 0 }))
        }
        return nil
    }
}
