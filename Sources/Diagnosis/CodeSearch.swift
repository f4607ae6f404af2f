// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

/// The meaning of a right code.
package struct CodeExplanation: Equatable, Sendable {
    /// The name of the key.
    package let key: String
    /// The mask that the code asks for.
    package let mode: MaskMode
    /// The code's time slot, in minutes after that of the capture's clock; nil if the code does not depend on the time
    /// (`--no-time`).
    package let slotOffset: Int?
    /// The address that the code was computed with.
    package let candidate: AddressCandidate
    /// Whether the SYN also carries the hint of that key.
    package let hint: HintFinding

    /// Whether a server with the capture's clock accepts the code: it is of the previous, the current or the next
    /// minute.
    package var isInTime: Bool { slotOffset.map { (-1...1).contains($0) } ?? true }
}

/// The result of examining the acknowledgment field of a SYN.
package enum CodeFinding: Equatable, Sendable {
    /// The field is 0: there is no code.
    case absent
    /// The code of a known key.
    case explained(CodeExplanation)
    /// A number that no known key explains.
    case unexplained
}

/// A search for the key, address and time that explain a code or proof.
package struct CodeSearch: Sendable {
    /// The keys, in the order in which they are tried.
    package let keys: [NamedKey]
    /// The time slots to try, in minutes after that of the capture's clock.
    package let slotOffsets: ClosedRange<Int>
    /// Addresses to try in addition to the SYN's own source.
    package let extraAddresses: [IPAddress]

    package init(keys: [NamedKey], slotOffsets: ClosedRange<Int> = -3...3, extraAddresses: [IPAddress] = []) {
        self.keys = keys
        self.slotOffsets = slotOffsets
        self.extraAddresses = extraAddresses
    }

    /// Returns the addresses to try for a client.
    func candidates(for source: IPAddress) -> [AddressCandidate] {
        [AddressCandidate(source, .source)]
            + extraAddresses.filter { $0 != source && $0.family == source.family }.map { AddressCandidate($0, .given) }
            + [AddressCandidate(.roaming, .roaming)]
    }

    /// Finds the explanation for the code of a SYN, trying the nearest slots first.
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
    /// Returns the slot this many minutes later, or earlier if negative; nil if that is before 1970.
    package func moved(by minutes: Int) -> TimeSlot? {
        let sum =
            minutes < 0
            ? number.subtractingReportingOverflow(UInt64(minutes.magnitude))
            : number.addingReportingOverflow(UInt64(minutes.magnitude))
        return sum.overflow ? nil : TimeSlot(number: sum.partialValue)
    }
}
