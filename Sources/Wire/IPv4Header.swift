// SPDX-License-Identifier: GPL-2.0-or-later

/// A view of an IPv4 header (RFC 791 §3.1).
public struct IPv4Header: ~Escapable {
    @usableFromInline let bytes: Span<UInt8>

    /// Byte offsets of the fields.
    @usableFromInline enum Field {
        @usableFromInline static let versionAndLength = 0
        @usableFromInline static let totalLength = 2
        @usableFromInline static let identification = 4
        @usableFromInline static let fragment = 6
        @usableFromInline static let transportProtocol = 9
        @usableFromInline static let checksum = 10
        @usableFromInline static let source = 12
        @usableFromInline static let destination = 16
        @usableFromInline static let minimumLength = 20
    }

    /// Checks that `bytes` start with a readable IPv4 header; afterwards no accessor traps.
    ///
    /// - Parameter bytes: The bytes, starting with the header.
    /// - Throws: `truncated` if the header is incomplete, `malformed` if its version is wrong or its lengths contradict
    ///   each other.
    @inlinable @inline(__always)
    @_lifetime(copy bytes)
    public init(validating bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Field.minimumLength else { throw .truncated }
        self.bytes = bytes
        guard bytes[Field.versionAndLength] >> 4 == 4, headerLength >= Field.minimumLength else { throw .malformed }
        guard bytes.count >= headerLength else { throw .truncated }
        guard totalLength >= headerLength else { throw .malformed }
    }

    /// The length of the header with its options, in bytes.
    @inlinable @inline(__always)
    public var headerLength: Int { Int(bytes[Field.versionAndLength] & 0x0f) * 4 }

    /// The length of the packet including its payload, in bytes.
    @inlinable @inline(__always)
    public var totalLength: Int { Int(bytes.uint16(at: Field.totalLength)) }

    /// The identification field.
    @inlinable @inline(__always)
    public var identification: UInt16 { bytes.uint16(at: Field.identification) }

    /// Whether this is a fragment: more fragments follow, or others came before.
    @inlinable @inline(__always)
    public var isFragment: Bool { bytes.uint16(at: Field.fragment) & 0x3fff != 0 }

    /// The protocol number of the payload; 6 is TCP.
    @inlinable @inline(__always)
    public var transportProtocol: UInt8 { bytes[Field.transportProtocol] }

    /// The header checksum as received.
    @inlinable @inline(__always)
    public var checksum: UInt16 { bytes.uint16(at: Field.checksum) }

    /// The source address.
    @inlinable @inline(__always)
    public var source: IPAddress { IPAddress(ipv4: bytes.uint32(at: Field.source)) }

    /// The destination address.
    @inlinable @inline(__always)
    public var destination: IPAddress { IPAddress(ipv4: bytes.uint32(at: Field.destination)) }
}
