// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
package import Wire

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
