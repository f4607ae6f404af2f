// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KernelFilter
import KnockProtocol
import TestSupport
import Wire

/// Keys and SYNs for the filter.
enum FilterKeys {
    /// One more than the filter has room for.
    static let all: [KeySchedule] = (0...KernelFilter.maximumKeys).compactMap { number in
        let material = [UInt8](repeating: UInt8(number), count: KeySchedule.materialLength)
        return try? KeySchedule(material: material.span)
    }

    /// A SYN with a code.
    static func syn(_ key: KeySchedule, _ slot: TimeSlot, _ mode: MaskMode = .full) -> TestPacket {
        var packet = TestPacket()
        packet.sequenceNumber = 0x0bad_cafe
        let handshake = Handshake(clientAddress: packet.source, clientISN: packet.sequenceNumber)
        packet.acknowledgmentNumber = SYNCode(keys: key, handshake: handshake, slot: slot)[mode]
        return packet
    }
}

extension KernelFilter {
    /// Gives the program keys that are bound to addresses.
    func update(keys: [KeySchedule], usesTime: Bool, clock: FilterClock) throws(KernelFilterError) {
        try update(keys: keys.map { FilterKey($0) }, usesTime: usesTime, clock: clock)
    }
}

extension FilterClock {
    /// A clock that stands some seconds after the beginning of a slot.
    static func at(_ slot: TimeSlot, plus seconds: Int64 = 20) -> FilterClock {
        var monotonic = timespec()
        clock_gettime(CLOCK_MONOTONIC, &monotonic)
        return FilterClock(
            wallClock: (Int64(slot.number) * TimeSlot.seconds + seconds) * 1_000_000_000,
            monotonic: Int64(monotonic.tv_sec) * 1_000_000_000 + Int64(monotonic.tv_nsec))
    }
}
