// SPDX-License-Identifier: GPL-2.0-or-later

/// The Internet checksum: the one's complement of the one's complement sum of 16-bit words (RFC 1071).
public struct InternetChecksum: Equatable, Sendable {
    /// The sum so far, not folded; 64 bits hold the sum of 2^48 words, more than any packet has.
    @usableFromInline var sum: UInt64 = 0

    @inlinable
    public init() {}

    /// Adds one 16-bit word.
    @inlinable
    public mutating func add(_ word: UInt16) {
        sum &+= UInt64(word)
    }

    /// Adds a 32-bit number as its two words.
    @inlinable
    public mutating func add(_ number: UInt32) {
        sum &+= UInt64(number >> 16) &+ UInt64(number & 0xffff)
    }

    /// Adds the 4 or 16 bytes of an address, as in a header of its family.
    @inlinable
    public mutating func add(_ address: IPAddress) {
        if address.family == .ipv6 {
            add(UInt32(truncatingIfNeeded: address.high >> 32))
            add(UInt32(truncatingIfNeeded: address.high))
            add(UInt32(truncatingIfNeeded: address.low >> 32))
        }
        add(UInt32(truncatingIfNeeded: address.low))
    }

    /// Adds bytes; an odd last byte counts as the high byte of a word (RFC 1071 §4.1).
    ///
    /// - Parameter bytes: The bytes; they must start at an even offset of the data being summed.
    @inlinable
    public mutating func add(_ bytes: Span<UInt8>) {
        var index = 0
        while index + 1 < bytes.count {
            add(bytes.uint16(at: index))
            index += 2
        }
        if index < bytes.count {
            add(UInt16(bytes[index]) << 8)
        }
    }

    /// The sum folded to 16 bits, not complemented; 0xffff for data that includes its correct checksum.
    @inlinable
    public var folded: UInt16 {
        var sum = self.sum
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) &+ (sum >> 16)
        }
        return UInt16(truncatingIfNeeded: sum)
    }

    /// The checksum as written into a header.
    @inlinable
    public var value: UInt16 { ~folded }

    /// Returns `checksum` updated for a change of one 16-bit word that it covers (RFC 1624 equation 3).
    @inlinable
    public static func updated(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
        var delta = InternetChecksum()
        delta.add(~checksum)
        delta.add(~old)
        delta.add(new)
        return delta.value
    }

    /// Returns `checksum` updated for a change of a 32-bit number that it covers, at an even offset (RFC 1624 equation
    /// 3).
    @inlinable
    public static func updated(_ checksum: UInt16, from old: UInt32, to new: UInt32) -> UInt16 {
        var delta = InternetChecksum()
        delta.add(~checksum)
        delta.add(~old)
        delta.add(new)
        return delta.value
    }
}
