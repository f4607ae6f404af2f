// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux
internal import Synchronization
internal import Wire

/// Tells that somebody has changed firewall rules, by nft or by the iptables that is made of it
/// (linux/netfilter/nf_tables.h, the multicast group NFNLGRP_NFTABLES).
///
/// The older iptables (`iptables-legacy`) tells nobody.
public final class RuleChanges: Sendable {
    private struct Receiver {
        let socket: NetlinkSocket
        var buffer = [UInt8](repeating: 0, count: 32 * 1024)
    }

    /// What changes rules: of the other messages, those about elements of sets can be many.
    private static let kinds: Set<UInt16> = Set(
        [
            NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN, NFT_MSG_NEWRULE, NFT_MSG_DELRULE,
        ].map { UInt16(truncatingIfNeeded: $0.rawValue) })
    /// The attribute that names the table: it has this number in messages about tables, chains and rules.
    private static let tableName = UInt16(NFTA_TABLE_NAME.rawValue)
    /// How many datagrams one call to `receive` takes at most.
    private static let batchSize = 256
    /// The size of the socket's receive buffer in bytes.
    private static let receiveBuffer: Int32 = 256 * 1024

    /// The file descriptor to wait on until there is something to receive.
    public let descriptor: Int32
    private let tables: [[UInt8]]
    private let receiver: Mutex<Receiver>

    /// Begins to listen in the calling thread's network namespace.
    ///
    /// - Parameter tables: The names of the tables, of whatever family, whose changes are told.
    /// - Throws: `SystemError`, where the kernel has no nft, or lets nobody listen.
    public init(tables: [String]) throws(SystemError) {
        self.tables = tables.map { Array($0.utf8) }
        let socket = try NetlinkSocket(
            family: NETLINK_NETFILTER, groups: 1 << (UInt32(NFNLGRP_NFTABLES.rawValue) - 1), waits: false)
        socket.setReceiveBuffer(Self.receiveBuffer)
        descriptor = socket.descriptor
        receiver = Mutex(Receiver(socket: socket))
    }

    /// Takes what is waiting; never waits.
    ///
    /// - Returns: Whether a table, chain or rule has changed; also if some messages were lost.
    /// - Throws: What made the socket unusable.
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
                        unsafe Self.isChange(UnsafeRawBufferPointer(rebasing: bytes[..<count]), of: tables)
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

    /// Whether one of the messages in a datagram is of a change in one of the tables.
    static func isChange(_ datagram: UnsafeRawBufferPointer, of tables: [[UInt8]]) -> Bool {
        var rest = Int32(clamping: datagram.count)
        guard var message = unsafe datagram.assumingMemoryBound(to: nlmsghdr.self).baseAddress else { return false }
        while unsafe NetlinkSocket.isWhole(message, rest) {
            let type = unsafe message.pointee.nlmsg_type
            if type >> 8 == UInt16(NFNL_SUBSYS_NFTABLES), kinds.contains(type & 0xff),
                let name = unsafe name(message), tables.contains(name)
            {
                return true
            }
            guard let next = unsafe mnl_nlmsg_next(message, &rest) else { return false }
            unsafe message = UnsafePointer(next)
        }
        return false
    }

    /// The name of the table, without the zero byte at its end.
    private static func name(_ message: UnsafePointer<nlmsghdr>) -> [UInt8]? {
        let length = unsafe Int(message.pointee.nlmsg_len)
        let bytes = unsafe UnsafeRawBufferPointer(start: message, count: length)
        let start = MemoryLayout<nlmsghdr>.size + MemoryLayout<nfgenmsg>.size
        guard start <= length else { return nil }
        let span = unsafe Span<UInt8>(_unsafeBytes: bytes)
        var attributes = NetlinkAttributes(in: start..<length)
        while let attribute = attributes.next(in: span) {
            guard attribute.type == tableName else { continue }
            return unsafe bytes[attribute.value].prefix { $0 != 0 }
        }
        return nil
    }
}
