// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// A walk over the attributes of a netlink message or of one of its attributes (linux/netlink.h, `struct nlattr`).
///
/// libnetfilter_conntrack would do it, too, but ends the whole process at the first attribute that has another length
/// than it expects.
struct NetlinkAttributes {
    /// One attribute.
    struct Attribute {
        /// Its number, without the flags.
        let type: UInt16
        /// Where its value lies in the message.
        let value: Range<Int>

        /// The attributes that the value consists of.
        var nested: NetlinkAttributes { NetlinkAttributes(in: value) }

        /// Reads a number of 8 bits; nil if the value is too short.
        func uint8(_ message: borrowing Span<UInt8>) -> UInt8? {
            value.isEmpty ? nil : message[value.lowerBound]
        }

        /// Reads a number of 16 bits in network byte order; nil if the value is too short.
        func uint16(_ message: borrowing Span<UInt8>) -> UInt16? {
            value.count < 2 ? nil : message.uint16(at: value.lowerBound)
        }

        /// Reads a number of 32 bits in network byte order; nil if the value is too short.
        func uint32(_ message: borrowing Span<UInt8>) -> UInt32? {
            value.count < 4 ? nil : message.uint32(at: value.lowerBound)
        }

        /// Reads a number of 64 bits in network byte order; nil if the value is too short.
        func uint64(_ message: borrowing Span<UInt8>) -> UInt64? {
            value.count < 8 ? nil : message.uint64(at: value.lowerBound)
        }
    }

    /// The length of length and type.
    private static let headerLength = 4
    /// NLA_TYPE_MASK: all but the flags for nested attributes and for the byte order.
    private static let typeMask: UInt16 = 0x3fff

    private var offset: Int
    private let end: Int

    /// Begins at the start of a range of bytes, which must lie in the message.
    init(in range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// Takes the next attribute; nil at the end, or if what follows reaches beyond it.
    mutating func next(in message: borrowing Span<UInt8>) -> Attribute? {
        guard end - offset >= Self.headerLength else { return nil }
        // Both numbers are in the byte order of the host.
        let length = Int(message.uint16(at: offset).bigEndian)
        let type = message.uint16(at: offset + 2).bigEndian & Self.typeMask
        guard length >= Self.headerLength, length <= end - offset else { return nil }
        let value = offset + Self.headerLength..<offset + length
        // Each begins at a multiple of 4 bytes.
        offset += min((length + 3) & ~3, end - offset)
        return Attribute(type: type, value: value)
    }
}
