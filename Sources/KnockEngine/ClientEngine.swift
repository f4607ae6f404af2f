// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

/// The verdicts of the client's side (docs/PROTOCOL.md §4 and §5).
///
/// Whatever it does not understand passes: without this daemon, too, only protected servers would be out of reach.
package struct ClientEngine: Engine, ~Copyable {
    /// What can be chosen.
    package struct Configuration: Equatable, Sendable {
        /// The ports of protected services.
        package var targetPorts: [UInt16] = [22]
        /// The address that servers see instead of this host's own, for each family; nil where it is the same.
        package var natAddresses: [IPFamily: IPAddress] = [:]
        /// The mask to ask for; nil chooses windowed where there is a NAT address, else full.
        package var maskMode: MaskMode?
        /// The servers that must prove that they hold the key.
        package var servers: [IPPrefix] = []
        /// Whether codes depend on the time.
        package var usesTime = true
        /// Whether each dropped packet makes an event.
        package var reportsDrops = false
        /// How many handshakes are remembered; when they are more, the oldest is forgotten.
        package var handshakeCapacity = 16_384

        /// Takes the defaults.
        package init() {}
    }

    /// What is remembered of a SYN until its SYN/ACK.
    private struct CodedSYN {
        let handshake: Handshake
        let mode: MaskMode
    }

    /// How long a SYN is remembered after its last retransmission, in milliseconds: longer than any kernel retransmits.
    private static let handshakeLifetime: UInt64 = 180_000
    /// How many events wait for the caller at most.
    private static let eventCapacity = 1024

    private let keys: KeySchedule
    private let targetPorts: PortSet
    private let natIPv4: IPAddress?
    private let natIPv6: IPAddress?
    private let maskMode: MaskMode?
    private let servers: [IPPrefix]
    private let usesTime: Bool
    private let reportsDrops: Bool
    private var codedSYNs: ExpiringTable<Flow, CodedSYN>
    private var events = EventBuffer(capacity: eventCapacity)

    /// How many packets got a verdict for each reason.
    package private(set) var counters = Counters()

    /// Reserves all memory that verdicts will need.
    package init(keys: KeySchedule, configuration: Configuration) {
        self.keys = keys
        targetPorts = PortSet(configuration.targetPorts)
        natIPv4 = configuration.natAddresses[.ipv4]
        natIPv6 = configuration.natAddresses[.ipv6]
        maskMode = configuration.maskMode
        servers = configuration.servers
        usesTime = configuration.usesTime
        reportsDrops = configuration.reportsDrops
        codedSYNs = ExpiringTable(capacity: configuration.handshakeCapacity, lifetime: Self.handshakeLifetime)
    }

    /// Takes the oldest event that has not been taken.
    package mutating func nextEvent() -> Event? { events.next() }

    /// How many events found no room because nobody took the earlier ones.
    package var lostEvents: UInt64 { events.lost }

    /// Decides on a packet that the kernel queued.
    package mutating func decide(_ packet: borrowing Packet, _ direction: Direction, at now: Instant) -> Verdict {
        let verdict: Verdict
        let flow: Flow
        switch direction {
        case .outbound:
            flow = Flow(fromClient: packet)
            verdict = decideSYN(packet, flow, at: now)
        case .inbound:
            flow = Flow(fromServer: packet)
            verdict = decideSYNACK(packet, flow, at: now)
        }
        counters.count(verdict.reason)
        if reportsDrops, verdict.action == .drop { events.offer(.dropped(flow, verdict.reason)) }
        return verdict
    }

    /// Decides on bytes that are no TCP segment.
    package mutating func decide(_ error: WireError) -> Verdict {
        let reason = Reason(error)
        counters.count(reason)
        return Verdict(.accept, reason)
    }

    /// Phase 1.
    private mutating func decideSYN(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        let segment = packet.segment
        guard targetPorts.contains(flow.serverPort) else { return Verdict(.accept, .otherPort) }
        guard segment.flags.isSYN else { return Verdict(.accept, .otherSegment) }
        guard packet.isComplete else { return Verdict(.accept, .incompleteCopy) }
        guard segment.acknowledgmentNumber == 0 else { return Verdict(.accept, .synAlreadyCoded) }

        let coded = codedSYN(flow, clientISN: segment.sequenceNumber)
        let slot = usesTime ? now.slot : .timeless
        let code = SYNCode(keys: keys, handshake: coded.handshake, slot: slot)
        codedSYNs.insert(flow, coded, at: now.uptime)
        return Verdict(.rewrite(HeaderRewrite(acknowledgmentNumber: code[coded.mode])), .synCoded)
    }

    /// Phase 2.
    private mutating func decideSYNACK(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        let segment = packet.segment
        guard targetPorts.contains(flow.serverPort) else { return Verdict(.accept, .otherPort) }
        guard segment.flags.isSYNACK else { return Verdict(.accept, .otherSegment) }
        guard packet.isComplete else { return Verdict(.accept, .incompleteCopy) }

        // A SYN that nothing is known of was coded before a restart, or its addresses were translated in between.
        let coded =
            codedSYNs.position(of: flow, at: now.uptime).map { codedSYNs[$0] }
            ?? codedSYN(flow, clientISN: segment.acknowledgmentNumber &- 1)
        if packet.nonceField != 0,
            let serverISN = ServerProof.verifiedISN(
                keys: keys, handshake: coded.handshake, maskedISN: segment.sequenceNumber, nonce: packet.nonceField,
                mode: coded.mode, family: flow.clientAddress.family)
        {
            events.offer(.serverProven(flow))
            return Verdict(.rewrite(HeaderRewrite(sequenceNumber: serverISN)), .synAckProven)
        }
        guard servers.contains(where: { $0.contains(flow.serverAddress) }) else {
            return Verdict(.accept, .synAckOfOtherServer)
        }
        let reason: Reason = packet.nonceField == 0 ? .proofMissing : .proofWrong
        events.offer(.proofFailed(flow, reason))
        return Verdict(.drop, reason)
    }

    private func codedSYN(_ flow: Flow, clientISN: UInt32) -> CodedSYN {
        let natAddress = flow.clientAddress.family == .ipv4 ? natIPv4 : natIPv6
        return CodedSYN(
            handshake: Handshake(clientAddress: natAddress ?? flow.clientAddress, clientISN: clientISN),
            mode: maskMode ?? (natAddress == nil ? .full : .windowed))
    }
}
