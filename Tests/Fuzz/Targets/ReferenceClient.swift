// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import KnockProtocol
internal import TestSupport
internal import Wire

/// The client's side as docs/PROTOCOL.md has it, slow and obvious, to compare with.
struct ReferenceClient {
    private struct Coded {
        let target: KeyID
        let handshake: Handshake
        let mode: MaskMode
    }

    private(set) var targets: [Target]
    private var coded: PlainTable<Flow, Coded>

    init(targets: [Target], capacity: Int) {
        self.targets = targets
        coded = PlainTable(capacity: capacity, lifetime: 180_000)
    }

    mutating func adopt(_ targets: [Target]) { self.targets = targets }

    /// The target of a server: the one with the longest prefix, of equal ones the first.
    func target(_ flow: Flow) -> Target? {
        var best: (target: Target, length: Int)?
        for target in targets where target.ports.contains(flow.serverPort) {
            for prefix in target.prefixes where prefix.contains(flow.serverAddress) {
                if best.map({ prefix.mappedLength > $0.length }) ?? true { best = (target, prefix.mappedLength) }
            }
        }
        return best?.target
    }

    /// `A`, `C` and the mask of a SYN (§2, §4.2, §5.3).
    static func terms(_ target: Target, _ address: IPAddress, _ clientISN: UInt32) -> (Handshake, MaskMode) {
        switch target.binding {
        case .ownAddress: (Handshake(clientAddress: address, clientISN: clientISN), target.maskMode ?? .full)
        case .none:
            (Handshake(clientAddress: IPAddress(high: 0, low: 0), clientISN: clientISN), target.maskMode ?? .windowed)
        case .natAddresses(let addresses):
            if let other = addresses[address.family] {
                (Handshake(clientAddress: other, clientISN: clientISN), target.maskMode ?? .windowed)
            } else {
                (Handshake(clientAddress: address, clientISN: clientISN), target.maskMode ?? .full)
            }
        }
    }

    /// What is to become of a packet.
    mutating func judge(_ packet: ParsedPacket, _ flow: Flow, _ direction: Direction, at now: Instant) -> Verdict {
        guard targets.contains(where: { $0.ports.contains(flow.serverPort) }) else {
            return Verdict(.accept, .otherPort)
        }
        let stage = packet.flags.intersection([.syn, .ack, .rst, .fin])
        guard stage == (direction == .outbound ? .syn : [.syn, .ack]) else { return Verdict(.accept, .otherSegment) }
        guard packet.isComplete else { return Verdict(.accept, .incompleteCopy) }
        return direction == .outbound ? code(packet, flow, at: now) : unmask(packet, flow, at: now)
    }

    private mutating func code(_ packet: ParsedPacket, _ flow: Flow, at now: Instant) -> Verdict {
        guard packet.acknowledgmentNumber == 0 else { return Verdict(.accept, .synAlreadyCoded) }
        guard let target = target(flow) else { return Verdict(.accept, .synToOtherServer) }
        let (handshake, mode) = Self.terms(target, flow.clientAddress, packet.sequenceNumber)
        coded.insert(flow, Coded(target: target.id, handshake: handshake, mode: mode), at: now.uptime)
        let slot = target.usesTime ? now.slot : .timeless
        let hint = KeyHint(keys: target.keys, slot: slot).identifier(flow.clientAddress.family)
        let rewrite = HeaderRewrite(
            acknowledgmentNumber: SYNCode(keys: target.keys, handshake: handshake, slot: slot)[mode],
            identifier: target.sendsHint ? hint : nil)
        return Verdict(.rewrite(rewrite), .synCoded)
    }

    private func unmask(_ packet: ParsedPacket, _ flow: Flow, at now: Instant) -> Verdict {
        let target: Target
        let (handshake, mode): (Handshake, MaskMode)
        if let known = coded.find(flow, at: now.uptime), let found = targets.first(where: { $0.id == known.target }) {
            (target, handshake, mode) = (found, known.handshake, known.mode)
        } else if let found = self.target(flow) {
            target = found
            (handshake, mode) = Self.terms(found, flow.clientAddress, packet.acknowledgmentNumber &- 1)
        } else {
            return Verdict(.accept, .synAckOfOtherServer)
        }
        let nonce = packet.identifier
        let mask = ISNMask(keys: target.keys, handshake: handshake, nonce: nonce, mode: mode)
        let serverISN = mask.unmask(packet.sequenceNumber)
        let proof = ServerProof.nonce(
            keys: target.keys, handshake: handshake, serverISN: serverISN, mode: mode,
            family: flow.clientAddress.family)
        if nonce != 0, nonce == proof {
            return Verdict(.rewrite(HeaderRewrite(sequenceNumber: serverISN)), .synAckProven)
        }
        guard target.requiresProof else { return Verdict(.accept, .synAckOfOtherServer) }
        return Verdict(.drop, nonce == 0 ? .proofMissing : .proofWrong)
    }
}
