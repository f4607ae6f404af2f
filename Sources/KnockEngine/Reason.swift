// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// The reason for a packet's verdict.
///
/// This is the only list of reasons: counters, logs and the output of `tcpknock reasons` are all derived from it.
public enum Reason: UInt8, CaseIterable, Sendable {
    // Not a TCP segment.
    case truncated, malformed, fragment, notTCP
    // Packets the firewall rules should not have queued.
    case otherPort, otherSegment, incompleteCopy
    // Server, any packet.
    case exempt
    // Server, SYN.
    case synWithoutCode, synWithWrongCode, tooManyWrongCodes, synReplayed, synOfRetiredSlot, replayCacheFull,
        synAccepted, synRetransmitted
    // Server, SYN with a valid code that is refused to its guest, or whose guest only knocks.
    case guestExpired, guestFromOtherNetwork, guestAtOtherPort, synDamaged, synWithData,
        guestShareUsed, guestTooFast, tooManyUnanswered, synOfOtherHandshake, knocked
    // Server, SYN/ACK.
    case synAckMasked, synAckWithoutHandshake, synAckOnVerified
    // Server, later segments.
    case segmentWithoutHandshake, impossibleFlags, segmentBeforeSynAck, segmentOutOfSequence, segmentDamaged,
        wrongAcknowledgment, maskedAcknowledgment, acknowledgmentVerified, segmentOfVerified, resetOfHandshake,
        resetBeforeSynAck, lockedOut
    // Client, SYN.
    case synCoded, synAlreadyCoded, synAtTheEnd, synToOtherServer
    // Client, SYN/ACK.
    case synAckProven, synAckOfOtherServer, proofMissing, proofWrong

    /// The name used in counters and logs: lowercase words joined by hyphens.
    public var name: String { text.name }

    /// A one-sentence explanation for people.
    public var explanation: String { text.explanation }

    private var text: (name: String, explanation: String) {
        switch self {
        case .truncated:
            ("truncated", "The packet ends before its headers do.")
        case .malformed:
            ("malformed", "The lengths or versions in the headers contradict each other.")
        case .fragment:
            ("fragment", "The packet is a fragment; connection tracking should have put it together.")
        case .notTCP:
            ("not-tcp", "The packet is not TCP.")
        case .otherPort:
            ("other-port", "The port is not one that this daemon looks after; compare the firewall rules.")
        case .otherSegment:
            ("other-segment", "The segment is none that the rules should queue here; compare the firewall rules.")
        case .incompleteCopy:
            ("incomplete-copy", "The kernel copied only the first part of the packet, so it cannot be rewritten.")
        case .exempt:
            ("exempt", "A packet of an address that needs no knock; rules that know it would not have queued it.")
        case .synWithoutCode:
            ("syn-without-code", "A SYN without a code: an ordinary client or a scanner.")
        case .synWithWrongCode:
            ("syn-with-wrong-code", "A SYN with a wrong code: another key, a wrong clock, another address, or a guess.")
        case .tooManyWrongCodes:
            ("too-many-wrong-codes", "One wrong code too many: the address is locked out for a time.")
        case .guestExpired:
            ("guest-expired", "A SYN with the right code of a guest whose time is over.")
        case .guestFromOtherNetwork:
            ("guest-from-other-network", "A SYN with the right code of a guest who may not come from this address.")
        case .guestAtOtherPort:
            ("guest-at-other-port", "A SYN with the right code of a guest to whom this port is not open.")
        case .synDamaged:
            ("syn-damaged", "A SYN with a right code whose TCP checksum is wrong; the code is not used up.")
        case .synWithData:
            (
                "syn-with-data",
                "A SYN with a right code that carries data (TCP Fast Open); the client tries again without."
            )
        case .guestShareUsed:
            (
                "guest-share-used",
                "A SYN with a right code of a guest who has used so many that the room left is for other guests."
            )
        case .guestTooFast:
            ("guest-too-fast", "A SYN with a right code of a guest who begins more connections a second than allowed.")
        case .tooManyUnanswered:
            (
                "too-many-unanswered",
                "A SYN with a right code between ends whose last SYN/ACKs the guest has left unanswered; one of the "
                    + "client's next SYNs gets in."
            )
        case .synOfOtherHandshake:
            (
                "syn-of-other-handshake",
                "A SYN with a right code of one guest that is otherwise the SYN of another guest's handshake."
            )
        case .knocked:
            ("knocked", "A SYN with the right code of a guest who only knocks; it goes no further.")
        case .synReplayed:
            ("syn-replayed", "A SYN whose code has been used before.")
        case .synOfRetiredSlot:
            ("syn-of-retired-slot", "A SYN of a minute whose used codes are forgotten already; the clock was set back.")
        case .replayCacheFull:
            ("replay-cache-full", "There is no room to remember one more used code, so no new handshake begins.")
        case .synAccepted:
            ("syn-accepted", "A SYN with a right code.")
        case .synRetransmitted:
            ("syn-retransmitted", "A SYN of a handshake that is under way, once more.")
        case .synAckMasked:
            ("syn-ack-masked", "A SYN/ACK, its ISN masked and the proof added.")
        case .synAckWithoutHandshake:
            ("syn-ack-without-handshake", "A SYN/ACK of a handshake that is not, or no longer, known.")
        case .synAckOnVerified:
            (
                "syn-ack-on-verified",
                "The SYN/ACK of a new connection that connection tracking takes for a verified one with the same ends; "
                    + "the old one is forgotten, and the client's next SYN begins anew."
            )
        case .segmentWithoutHandshake:
            ("segment-without-handshake", "A segment of no known connection.")
        case .impossibleFlags:
            ("impossible-flags", "A combination of flags that no handshake has.")
        case .segmentBeforeSynAck:
            ("segment-before-syn-ack", "A segment of a handshake that has not been answered yet.")
        case .segmentOutOfSequence:
            ("segment-out-of-sequence", "A segment whose sequence number is not the one that the SYN/ACK acknowledged.")
        case .segmentDamaged:
            ("segment-damaged", "A segment whose TCP checksum is wrong, which would else have locked its sender out.")
        case .wrongAcknowledgment:
            ("wrong-acknowledgment", "A third ACK of a wrong ISN: its sender is locked out.")
        case .maskedAcknowledgment:
            ("masked-acknowledgment", "A third ACK of the masked ISN: its sender did not unmask it, and is locked out.")
        case .acknowledgmentVerified:
            ("acknowledgment-verified", "A third ACK of the true ISN: the connection is verified.")
        case .segmentOfVerified:
            ("segment-of-verified", "A segment that was queued behind the third ACK of its connection.")
        case .resetOfHandshake:
            ("reset-of-handshake", "A RST of the client that ends its handshake.")
        case .resetBeforeSynAck:
            ("reset-before-syn-ack", "A RST before the SYN/ACK; the kernel judges it.")
        case .lockedOut:
            ("locked-out", "The guest is locked out at this address, or everybody is.")
        case .synCoded:
            ("syn-coded", "A SYN, the code added.")
        case .synAlreadyCoded:
            ("syn-already-coded", "A SYN that carries something in its acknowledgment field already.")
        case .synAtTheEnd:
            ("syn-at-the-end", "A SYN that came while the daemon was about to end, and goes without a code.")
        case .synToOtherServer:
            ("syn-to-other-server", "A SYN to a server that no target names.")
        case .synAckProven:
            ("syn-ack-proven", "A SYN/ACK with a right proof, its ISN unmasked.")
        case .synAckOfOtherServer:
            ("syn-ack-of-other-server", "A SYN/ACK without a proof, of a server that need not prove itself.")
        case .proofMissing:
            ("proof-missing", "A SYN/ACK of a server that must prove itself, without a proof.")
        case .proofWrong:
            ("proof-wrong", "A SYN/ACK of a server that must prove itself, with a proof that does not hold.")
        }
    }

    /// Who needs an event for a verdict.
    enum Interest {
        /// Always reported: to the log, to hooks, and to the code that tracks connections.
        case always
        /// Reported to those who ask for every dropped packet.
        case drop
        /// Reported to those who ask for every step of a handshake.
        case stage
    }

    /// Who needs an event for this reason.
    var interest: Interest {
        switch self {
        case .synAccepted, .knocked, .guestExpired, .guestFromOtherNetwork, .guestAtOtherPort, .tooManyUnanswered,
            .tooManyWrongCodes, .acknowledgmentVerified, .resetOfHandshake, .synAckOnVerified, .wrongAcknowledgment,
            .maskedAcknowledgment,
            .synAckProven,
            .proofMissing, .proofWrong:
            .always
        case .exempt, .synRetransmitted, .synAckMasked, .segmentOfVerified, .resetBeforeSynAck, .synCoded,
            .synAlreadyCoded,
            .synAtTheEnd, .synToOtherServer, .synAckOfOtherServer:
            .stage
        case .truncated, .malformed, .fragment, .notTCP, .otherPort, .otherSegment, .incompleteCopy, .synWithoutCode,
            .synWithWrongCode, .synReplayed, .synOfRetiredSlot, .replayCacheFull, .guestShareUsed, .guestTooFast,
            .synOfOtherHandshake, .synDamaged, .synWithData,
            .synAckWithoutHandshake, .segmentWithoutHandshake, .impossibleFlags, .segmentBeforeSynAck,
            .segmentOutOfSequence, .segmentDamaged,
            .lockedOut:
            .drop
        }
    }

    /// Whether this reason locks the sender out and closes its connections.
    ///
    /// False for wrong codes: anyone can send those with a forged source, so they only block new connections.
    public var endsConnections: Bool { self == .wrongAcknowledgment || self == .maskedAcknowledgment }

    /// Whether something must be done about this, so that its event must not be lost.
    ///
    /// Either a connection has opened and must be recorded so that it can be closed later, or some must be closed.
    public var isDuty: Bool { self == .acknowledgmentVerified || self == .synAckProven || endsConnections }

    /// Whether a closed port would answer this packet with a RST.
    ///
    /// False for packets that could be forged in the name of a client whose handshake is in progress.
    var isAnsweredByClosedPort: Bool {
        switch self {
        case .synWithoutCode, .synWithWrongCode, .tooManyWrongCodes, .synReplayed, .synOfRetiredSlot, .replayCacheFull,
            .guestShareUsed, .guestTooFast, .synOfOtherHandshake, .guestExpired, .guestFromOtherNetwork,
            .guestAtOtherPort, .knocked,
            .segmentWithoutHandshake,
            .impossibleFlags, .lockedOut, .wrongAcknowledgment, .maskedAcknowledgment:
            true
        default:
            false
        }
    }

    /// Returns the reason for bytes that are not a TCP segment.
    public init(_ error: WireError) {
        switch error {
        case .truncated: self = .truncated
        case .malformed: self = .malformed
        case .fragment: self = .fragment
        case .notTCP: self = .notTCP
        }
    }
}
