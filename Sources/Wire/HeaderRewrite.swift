// SPDX-License-Identifier: GPL-2.0-or-later

/// New values for header fields of a packet; nil leaves a field unchanged.
public struct HeaderRewrite: Equatable, Sendable {
    /// The new sequence number.
    public var sequenceNumber: UInt32?
    /// The new acknowledgment number.
    public var acknowledgmentNumber: UInt32?
    /// The new identification field (IPv4, low 16 bits) or flow label (IPv6, low 20 bits).
    public var identifier: UInt32?

    @inlinable
    public init(sequenceNumber: UInt32? = nil, acknowledgmentNumber: UInt32? = nil, identifier: UInt32? = nil) {
        self.sequenceNumber = sequenceNumber
        self.acknowledgmentNumber = acknowledgmentNumber
        self.identifier = identifier
    }

    /// Writes the fields into a packet and updates the checksums that cover them incrementally (RFC 1624).
    ///
    /// A checksum that was wrong before stays wrong, so damage on the way remains detectable.
    ///
    /// - Parameters:
    ///   - bytes: The packet.
    ///   - layout: The layout of a `Packet` that was validated over these bytes.
    @inlinable
    public func apply(to bytes: inout MutableSpan<UInt8>, layout: PacketLayout) {
        if let sequenceNumber {
            Self.replace(
                with: sequenceNumber, at: layout.transportOffset + TCPSegment.Field.sequenceNumber, in: &bytes,
                checksumAt: layout.transportOffset + TCPSegment.Field.checksum)
        }
        if let acknowledgmentNumber {
            Self.replace(
                with: acknowledgmentNumber, at: layout.transportOffset + TCPSegment.Field.acknowledgmentNumber,
                in: &bytes, checksumAt: layout.transportOffset + TCPSegment.Field.checksum)
        }
        if let identifier {
            switch layout.family {
            case .ipv4:
                let old = bytes.span.uint16(at: IPv4Header.Field.identification)
                let new = UInt16(truncatingIfNeeded: identifier)
                let checksum = bytes.span.uint16(at: IPv4Header.Field.checksum)
                bytes.store(new, at: IPv4Header.Field.identification)
                bytes.store(
                    InternetChecksum.updated(checksum, from: old, to: new), at: IPv4Header.Field.checksum)
            case .ipv6:
                // No checksum covers the flow label (RFC 8200 §8.1).
                let old = bytes.span.uint32(at: IPv6Header.Field.versionClassFlow)
                bytes.store(old & 0xfff0_0000 | identifier & 0x000f_ffff, at: IPv6Header.Field.versionClassFlow)
            }
        }
    }

    @inlinable
    static func replace(
        with new: UInt32, at offset: Int, in bytes: inout MutableSpan<UInt8>, checksumAt checksumOffset: Int
    ) {
        let old = bytes.span.uint32(at: offset)
        let checksum = bytes.span.uint16(at: checksumOffset)
        bytes.store(new, at: offset)
        bytes.store(InternetChecksum.updated(checksum, from: old, to: new), at: checksumOffset)
    }
}
