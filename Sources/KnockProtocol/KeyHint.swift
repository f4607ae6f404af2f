// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// A hint in the SYN of the key that its code was made with, so that a server need not try all keys
/// (docs/PROTOCOL.md §4.1).
///
/// It proves nothing: anyone who has seen a hint can send it as long as its slot is accepted.
public struct KeyHint: Equatable, Sendable {
    /// The value that the server looks up: 1...0xffff.
    public let number: UInt16
    /// The high four bits of the flow label: 0...15.
    private let filling: UInt8

    /// Computes the hint of a key for a time slot.
    public init(keys: KeySchedule, slot: TimeSlot) {
        var hash = keys.hash(.hint)
        hash.absorb(slot.number.byteSwapped)
        let output = hash.finish(0, length: 8)
        let number = UInt16(truncatingIfNeeded: output >> 48)
        // 0 means that the client sends no hint.
        self.number = number == 0 ? 1 : number
        filling = UInt8(truncatingIfNeeded: output >> 40) & 0x0f
    }

    /// Returns the hint in the identification field or flow label of a SYN; 0 means none.
    public static func number(in identifier: UInt32) -> UInt16 {
        UInt16(truncatingIfNeeded: identifier)
    }

    /// Returns the value for the identification field (IPv4, 16 bits) or flow label (IPv6, 20 bits) of a SYN.
    public func identifier(_ family: IPFamily) -> UInt32 {
        switch family {
        case .ipv4: UInt32(number)
        case .ipv6: UInt32(filling) << 16 | UInt32(number)
        }
    }
}
