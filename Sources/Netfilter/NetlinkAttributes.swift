// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// An iterator over the attributes of a netlink message or of a nested attribute (linux/netlink.h, `struct nlattr`).
///
/// libnetfilter_conntrack could do this too, but it ends the whole process at the first attribute of unexpected length.
struct NetlinkAttributes {
    /// A netlink attribute.
    struct Attribute {
        /// The attribute's type, without the flags.
        let type: UInt16
        /// The position of the value in the message.
        let value: Range<Int>

        /// The attributes nested in the value.
        var nested: NetlinkAttributes { NetlinkAttributes(in: value) }

        /// Reads an 8-bit number; nil if the value is too short.
        func uint8(_ message: borrowing Span<UInt8>) -> UInt8? {
            value.isEmpty ? nil : message[value.lowerBound]
        }

        /// Reads a 16-bit number in network byte order; nil if the value is too short.
        func uint16(_ message: borrowing Span<UInt8>) -> UInt16? {
            value.count < 2 ? nil : message.uint16(at: value.lowerBound)
        }

        /// Reads a 32-bit number in network byte order; nil if the value is too short.
        func uint32(_ message: borrowing Span<UInt8>) -> UInt32? {
            value.count < 4 ? nil : message.uint32(at: value.lowerBound)
        }

        /// Reads a 64-bit number in network byte order; nil if the value is too short.
        func uint64(_ message: borrowing Span<UInt8>) -> UInt64? {
            value.count < 8 ? nil : message.uint64(at: value.lowerBound)
        }
    }

    /// The size of the length and type fields, in bytes.
    private static let headerLength = 4
    /// NLA_TYPE_MASK: all bits except the flags for nesting and byte order.
    private static let typeMask: UInt16 = 0x3fff

    private var offset: Int
    private let end: Int

    /// Starts at the beginning of a range of bytes, which must lie within the message.
    init(in range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// Returns the next attribute; nil at the end, or if the next one extends beyond it.
    mutating func next(in message: borrowing Span<UInt8>) -> Attribute? {
        guard end - offset >= Self.headerLength else { return nil }
        // Both numbers are in host byte order.
        let length = Int(message.uint16(at: offset).bigEndian)
        let type = message.uint16(at: offset + 2).bigEndian & Self.typeMask
        guard length >= Self.headerLength, length <= end - offset else { return nil }
        let value = offset + Self.headerLength..<offset + length
        // Attributes are aligned to 4 bytes.
        offset += min((length + 3) & ~3, end - offset)
        return Attribute(type: type, value: value)
    }
}
