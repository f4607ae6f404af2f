// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// What a SYN says of the key that its code was made with, so that a server with many need not try them all
/// (docs/PROTOCOL.md §4.1).
///
/// It proves nothing: anybody who has seen one can send it for as long as its slot is accepted.
public struct KeyHint: Equatable, Sendable {
    /// What the server looks up: 1...0xffff.
    public let number: UInt16
    /// The four bits that fill up a flow label: 0...15.
    private let filling: UInt8

    /// Computes the hint of a key for a time slot.
    public init(keys: KeySchedule, slot: TimeSlot) {
        var hash = keys.hash(.hint)
        hash.absorb(slot.number.byteSwapped)
        let output = hash.finish(0, length: 8)
        let number = UInt16(truncatingIfNeeded: output >> 48)
        // 0 is what a client sends that gives no hint.
        self.number = number == 0 ? 1 : number
        filling = UInt8(truncatingIfNeeded: output >> 40) & 0x0f
    }

    /// Takes the hint out of the identification field or flow label of a SYN; 0 is none.
    public static func number(in nonceField: UInt32) -> UInt16 {
        UInt16(truncatingIfNeeded: nonceField)
    }

    /// The value for the identification field (IPv4: 16 bits) or flow label (IPv6: 20 bits) of a SYN.
    public func nonceField(_ family: IPFamily) -> UInt32 {
        switch family {
        case .ipv4: UInt32(number)
        case .ipv6: UInt32(filling) << 16 | UInt32(number)
        }
    }
}
