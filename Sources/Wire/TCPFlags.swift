// SPDX-License-Identifier: GPL-2.0-or-later

/// The control bits of a TCP header that share one byte (RFC 9293 §3.1).
public struct TCPFlags: OptionSet, Hashable, Sendable {
    /// The byte at offset 13 of the header.
    public let rawValue: UInt8

    /// Creates flags from the byte at offset 13 of the header.
    @inlinable @inline(__always)
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// No more data from the sender.
    @inlinable public static var fin: TCPFlags { TCPFlags(rawValue: 0x01) }
    /// Synchronize sequence numbers.
    @inlinable public static var syn: TCPFlags { TCPFlags(rawValue: 0x02) }
    /// Reset the connection.
    @inlinable public static var rst: TCPFlags { TCPFlags(rawValue: 0x04) }
    /// Push function.
    @inlinable public static var psh: TCPFlags { TCPFlags(rawValue: 0x08) }
    /// The acknowledgment field is significant.
    @inlinable public static var ack: TCPFlags { TCPFlags(rawValue: 0x10) }
    /// The urgent pointer is significant.
    @inlinable public static var urg: TCPFlags { TCPFlags(rawValue: 0x20) }
    /// Explicit congestion notification echo (RFC 3168).
    @inlinable public static var ece: TCPFlags { TCPFlags(rawValue: 0x40) }
    /// Congestion window reduced (RFC 3168).
    @inlinable public static var cwr: TCPFlags { TCPFlags(rawValue: 0x80) }

    /// Whether this opens a connection: SYN set; ACK, RST and FIN clear.
    @inlinable @inline(__always)
    public var isSYN: Bool { rawValue & 0x17 == 0x02 }

    /// Whether this answers a SYN: SYN and ACK set; RST and FIN clear.
    @inlinable @inline(__always)
    public var isSYNACK: Bool { rawValue & 0x17 == 0x12 }
}
