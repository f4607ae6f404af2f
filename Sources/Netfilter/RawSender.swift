// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import CNetfilter
internal import Glibc
public import Linux

/// Sends complete IP packets built by this process (raw(7)), many per system call.
///
/// Packets that cannot be sent immediately are dropped, so that nothing blocks.
@safe
public struct RawSender: ~Copyable {
    /// The maximum number of packets waiting to be sent.
    public static let capacity = 64
    /// The maximum length of a packet, in bytes.
    public static let maximumLength = 64

    private let ipv4: Int32
    private let ipv6: Int32
    private let packets: UnsafeMutableRawBufferPointer
    private let lengths: UnsafeMutableBufferPointer<UInt32>
    private var count = 0

    /// Opens a socket for each family; without IPv6 in the kernel, for IPv4 only.
    ///
    /// - Parameter mark: The packet mark of sent packets.
    /// - Throws: `SystemError`; EPERM without CAP_NET_RAW, or without CAP_NET_ADMIN for the mark.
    public init(mark: UInt32) throws(SystemError) {
        let sockets = try Self.openSockets(mark)
        (ipv4, ipv6) = (sockets.ipv4, sockets.ipv6)
        var on: Int32 = 1
        if ipv6 >= 0 {
            _ = unsafe setsockopt(
                ipv6, Int32(IPPROTO_IPV6), IPV6_HDRINCL, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        unsafe packets = .allocate(byteCount: Self.capacity * Self.maximumLength, alignment: 8)
        unsafe lengths = .allocate(capacity: Self.capacity)
        unsafe lengths.initialize(repeating: 0)
    }

    private static func openSockets(_ mark: UInt32) throws(SystemError) -> (ipv4: Int32, ipv6: Int32) {
        let ipv4 = try open(AF_INET, mark)
        do throws(SystemError) {
            return (ipv4, try open(AF_INET6, mark))
        } catch {
            if error.number == EAFNOSUPPORT { return (ipv4, -1) }
            close(ipv4)
            throw error
        }
    }

    private static func open(_ family: Int32, _ mark: UInt32) throws(SystemError) -> Int32 {
        let socket = socket(family, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), Int32(IPPROTO_RAW))
        guard socket >= 0 else { throw SystemError("raw socket") }
        var mark = mark
        guard unsafe setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, socklen_t(MemoryLayout<UInt32>.size)) == 0 else {
            let error = SystemError("mark of raw socket")
            close(socket)
            throw error
        }
        return socket
    }

    deinit {
        close(ipv4)
        if ipv6 >= 0 { close(ipv6) }
        unsafe packets.deallocate()
        unsafe lengths.deallocate()
    }

    /// Adds a packet to those waiting, sending them first if there is no more room.
    ///
    /// - Parameter write: Writes the packet into `maximumLength` bytes, starting at the first, and returns its length;
    ///   nil to add nothing.
    public mutating func add(_ write: (inout MutableSpan<UInt8>) -> Int?) {
        if count == Self.capacity { flush() }
        let start = count * Self.maximumLength
        let slot = unsafe UnsafeMutableRawBufferPointer(rebasing: packets[start..<start + Self.maximumLength])
        var span = unsafe MutableSpan(_unsafeElements: slot.bindMemory(to: UInt8.self))
        guard let length = write(&span), length > 0, length <= Self.maximumLength else { return }
        unsafe lengths[count] = UInt32(length)
        count += 1
    }

    /// Sends all waiting packets.
    public mutating func flush() {
        guard count > 0 else { return }
        unsafe clinux_send_packets(
            ipv4, ipv6, packets.baseAddress, Self.maximumLength, lengths.baseAddress, UInt32(count))
        count = 0
    }
}
