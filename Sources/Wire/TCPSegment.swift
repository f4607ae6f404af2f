// SPDX-License-Identifier: GPL-2.0-or-later

/// A view of a TCP header and its payload (RFC 9293 §3.1).
public struct TCPSegment: ~Escapable {
    @usableFromInline let bytes: Span<UInt8>

    /// Byte offsets of the fields.
    @usableFromInline enum Field {
        @usableFromInline static let sourcePort = 0
        @usableFromInline static let destinationPort = 2
        @usableFromInline static let sequenceNumber = 4
        @usableFromInline static let acknowledgmentNumber = 8
        @usableFromInline static let dataOffset = 12
        @usableFromInline static let flags = 13
        @usableFromInline static let checksum = 16
        @usableFromInline static let minimumLength = 20
    }

    /// The IP protocol number of TCP.
    @inlinable public static var protocolNumber: UInt8 { 6 }

    /// Checks that `bytes` start with a TCP header including all its options; afterwards no accessor traps.
    ///
    /// - Parameter bytes: The bytes, starting with the header.
    /// - Throws: `truncated` if the header is incomplete, `malformed` if its data offset is too small.
    @inlinable @inline(__always)
    @_lifetime(copy bytes)
    public init(validating bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Field.minimumLength else { throw .truncated }
        self.bytes = bytes
        guard headerLength >= Field.minimumLength else { throw .malformed }
        guard bytes.count >= headerLength else { throw .truncated }
    }

    /// The length of the header with its options, in bytes.
    @inlinable @inline(__always)
    public var headerLength: Int { Int(bytes[Field.dataOffset] >> 4) * 4 }

    /// The source port.
    @inlinable @inline(__always)
    public var sourcePort: UInt16 { bytes.uint16(at: Field.sourcePort) }

    /// The destination port.
    @inlinable @inline(__always)
    public var destinationPort: UInt16 { bytes.uint16(at: Field.destinationPort) }

    /// The sequence number; in a SYN or SYN/ACK, the sender's ISN.
    @inlinable @inline(__always)
    public var sequenceNumber: UInt32 { bytes.uint32(at: Field.sequenceNumber) }

    /// The acknowledgment field, whether or not the ACK flag makes it significant.
    @inlinable @inline(__always)
    public var acknowledgmentNumber: UInt32 { bytes.uint32(at: Field.acknowledgmentNumber) }

    /// The control bits.
    @inlinable @inline(__always)
    public var flags: TCPFlags { TCPFlags(rawValue: bytes[Field.flags]) }

    /// The checksum as received.
    @inlinable @inline(__always)
    public var checksum: UInt16 { bytes.uint16(at: Field.checksum) }
}
