// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

/// What a right code says.
package struct CodeExplanation: Equatable, Sendable {
    /// The name of the key.
    package let key: String
    /// The mask that it asks for.
    package let mode: MaskMode
    /// The slot it is of, in minutes after that of the capture's clock; nil if it is of no time (`--no-time`).
    package let slotOffset: Int?
    /// The address that it was computed with.
    package let candidate: AddressCandidate
    /// Whether the SYN carries the hint of that key, too.
    package let hint: HintFinding

    /// Whether a server whose clock is that of the capture accepts it: the minute before, this one, the next.
    package var isInTime: Bool { slotOffset.map { (-1...1).contains($0) } ?? true }
}

/// What the acknowledgment field of a SYN is.
package enum CodeFinding: Equatable, Sendable {
    /// 0: no code.
    case absent
    /// A right code.
    case explained(CodeExplanation)
    /// A number that no key explains.
    case unexplained
}

/// Finds what explains the code of a SYN.
package struct CodeSearch: Sendable {
    /// The keys, in the order in which they are tried.
    package let keys: [NamedKey]
    /// How many minutes before and after that of the capture's clock a code may be of.
    package let slotOffsets: ClosedRange<Int>
    /// Addresses to try beside the SYN's own source.
    package let extraAddresses: [IPAddress]

    /// Takes what is tried.
    package init(keys: [NamedKey], slotOffsets: ClosedRange<Int> = -3...3, extraAddresses: [IPAddress] = []) {
        self.keys = keys
        self.slotOffsets = slotOffsets
        self.extraAddresses = extraAddresses
    }

    /// The addresses to try for a client.
    func candidates(for source: IPAddress) -> [AddressCandidate] {
        [AddressCandidate(source, .source)]
            + extraAddresses.filter { $0 != source && $0.family == source.family }.map { AddressCandidate($0, .given) }
            + [AddressCandidate(.roaming, .roaming)]
    }

    /// Finds what the code of a SYN is; the nearest slot first.
    package func finding(for syn: CapturedSegment) -> CodeFinding {
        guard syn.acknowledgmentNumber != 0 else { return .absent }
        let current = TimeSlot(unixSeconds: syn.time.seconds)
        let offsets = slotOffsets.sorted { (abs($0), $0) < (abs($1), $1) }
        for key in keys {
            for candidate in candidates(for: syn.source) {
                let handshake = Handshake(clientAddress: candidate.address, clientISN: syn.sequenceNumber)
                for offset in offsets.map(Optional.some) + [nil] {
                    guard let slot = offset.map({ current.moved(by: $0) }) ?? .timeless,
                        let mode = SYNCode(keys: key.keys, handshake: handshake, slot: slot)
                            .mode(of: syn.acknowledgmentNumber)
                    else { continue }
                    return .explained(
                        CodeExplanation(
                            key: key.name, mode: mode, slotOffset: offset, candidate: candidate,
                            hint: .judge(syn, keys: key.keys, slot: slot)))
                }
            }
        }
        return .unexplained
    }
}

extension TimeSlot {
    /// The slot so many minutes later, or earlier if negative; nil before 1970.
    package func moved(by minutes: Int) -> TimeSlot? {
        let sum =
            minutes < 0
            ? number.subtractingReportingOverflow(UInt64(minutes.magnitude))
            : number.addingReportingOverflow(UInt64(minutes.magnitude))
        return sum.overflow ? nil : TimeSlot(number: sum.partialValue)
    }
}
