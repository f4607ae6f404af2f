// SPDX-License-Identifier: GPL-2.0-or-later

/// A view of an IPv6 header and its extension headers (RFC 8200 §3 and §4).
public struct IPv6Header: ~Escapable {
    @usableFromInline let bytes: Span<UInt8>

    /// The offset of the first byte after the extension headers.
    public let transportOffset: Int
    /// The protocol number of the payload after the extension headers; 6 is TCP.
    public let transportProtocol: UInt8
    /// Whether this is a fragment according to a fragment header.
    public let isFragment: Bool

    /// Byte offsets of the fields.
    @usableFromInline enum Field {
        @usableFromInline static let versionClassFlow = 0
        @usableFromInline static let payloadLength = 4
        @usableFromInline static let nextHeader = 6
        @usableFromInline static let source = 8
        @usableFromInline static let destination = 24
        @usableFromInline static let length = 40
    }

    /// Protocol numbers of the headers that may occur between the IPv6 header and TCP (IANA "Protocol Numbers").
    @usableFromInline enum NextHeader {
        @usableFromInline static let hopByHopOptions: UInt8 = 0
        @usableFromInline static let routing: UInt8 = 43
        @usableFromInline static let fragment: UInt8 = 44
        @usableFromInline static let authentication: UInt8 = 51
        @usableFromInline static let destinationOptions: UInt8 = 60
        @usableFromInline static let mobility: UInt8 = 135
        @usableFromInline static let hostIdentity: UInt8 = 139
        @usableFromInline static let shim6: UInt8 = 140
    }

    /// The maximum number of extension headers.
    ///
    /// RFC 8200 §4.1 allows each one once, and one of them twice; more is an attempt to keep us busy.
    @usableFromInline static let maximumExtensionHeaders = 8

    /// Checks that `bytes` start with an IPv6 header and complete extension headers; afterwards no accessor traps.
    ///
    /// - Parameter bytes: The bytes, starting with the header.
    /// - Throws: `truncated` if a header is incomplete; `malformed` if the version is wrong, there are too many
    ///   extension headers, or a routing header has segments left (the checksum would cover another destination).
    @inlinable
    @_lifetime(copy bytes)
    public init(validating bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Field.length else { throw .truncated }
        guard bytes[Field.versionClassFlow] >> 4 == 6 else { throw .malformed }
        self.bytes = bytes

        var offset = Field.length
        var nextHeader = bytes[Field.nextHeader]
        var isFragment = false
        var headersSeen = 0
        walk: while !isFragment {
            let unitLength: Int
            let fixedLength: Int
            switch nextHeader {
            case NextHeader.hopByHopOptions, NextHeader.routing, NextHeader.destinationOptions, NextHeader.mobility,
                NextHeader.hostIdentity, NextHeader.shim6:
                (unitLength, fixedLength) = (8, 8)
            case NextHeader.authentication:
                // RFC 4302 §2.2 counts in units of 4 bytes, minus 2.
                (unitLength, fixedLength) = (4, 8)
            case NextHeader.fragment:
                (unitLength, fixedLength) = (0, 8)
            default:
                break walk
            }
            headersSeen += 1
            guard headersSeen <= Self.maximumExtensionHeaders else { throw .malformed }
            guard bytes.count - offset >= 8 else { throw .truncated }
            if nextHeader == NextHeader.routing, bytes[offset + 3] != 0 { throw .malformed }
            if nextHeader == NextHeader.fragment {
                isFragment = bytes.uint16(at: offset + 2) & 0xfff9 != 0
            }
            let length = fixedLength + Int(bytes[offset + 1]) * unitLength
            guard bytes.count - offset >= length else { throw .truncated }
            nextHeader = bytes[offset]
            offset += length
        }
        self.transportOffset = offset
        self.transportProtocol = nextHeader
        self.isFragment = isFragment
    }

    /// The length of the packet including its payload, in bytes; a jumbogram (RFC 2675) counts as having no payload.
    @inlinable @inline(__always)
    public var totalLength: Int { Field.length + Int(bytes.uint16(at: Field.payloadLength)) }

    /// The flow label, 20 bits (RFC 6437).
    @inlinable @inline(__always)
    public var flowLabel: UInt32 { bytes.uint32(at: Field.versionClassFlow) & 0x000f_ffff }

    /// The source address.
    @inlinable @inline(__always)
    public var source: IPAddress { address(at: Field.source) }

    /// The destination address.
    @inlinable @inline(__always)
    public var destination: IPAddress { address(at: Field.destination) }

    @inlinable @inline(__always)
    func address(at offset: Int) -> IPAddress {
        IPAddress(high: bytes.uint64(at: offset), low: bytes.uint64(at: offset + 8))
    }
}
