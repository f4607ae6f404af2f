// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

/// What came back for a SYN of an experiment.
package enum TrialAnswer: String, Sendable {
    /// Nothing in time.
    case silence
    /// A RST.
    case refused
    /// A SYN/ACK whose proof holds.
    case proven
    /// A SYN/ACK whose proof does not hold.
    case unproven
}

/// A SYN that was sent to see what comes back.
package struct Trial: Equatable, Sendable {
    /// What was tried.
    package enum Kind: Equatable, Sendable {
        /// The code that the client's daemon should have written, by its settings.
        case asConfigured
        /// The code bound to another address than in the settings.
        case address(AddressCandidate)
        /// The code of a minute so many later than this host's.
        case minutesLater(Int)
        /// The code without time, or with time where the settings have none.
        case otherTiming
        /// A number that is no code.
        case wrongCode
    }

    /// What was tried.
    package let kind: Kind
    /// What came back.
    package let answer: TrialAnswer

    /// Joins both.
    package init(_ kind: Kind, _ answer: TrialAnswer) {
        self.kind = kind
        self.answer = answer
    }
}

/// A router on the way, and what it got.
package struct Hop: Equatable, Sendable {
    /// A field of the SYN that was not as it was sent.
    package enum Change: String, CaseIterable, Sendable {
        case code = "acknowledgment field"
        case isn = "sequence number"
        case nonceField = "identification field or flow label"
    }

    /// How many routers away: 1 is the first.
    package let distance: Int
    /// The router's address.
    package let router: IPAddress
    /// What was changed; fields that the quote does not have count as unchanged.
    package let changes: [Change]

    /// Names all values.
    package init(distance: Int, router: IPAddress, changes: [Change]) {
        self.distance = distance
        self.router = router
        self.changes = changes
    }

    /// Whether no server can take the SYN for a knock any more.
    var breaksTheCode: Bool { changes.contains(.code) || changes.contains(.isn) }
}

/// How the attempt to connect ended.
package enum ConnectionOutcome: Equatable, Sendable {
    /// The server took the third ACK and went on.
    case works
    /// The host's kernel has the connection, and the server neither went on nor repeated its SYN/ACK.
    case unconfirmed
    /// The host's kernel has the connection, but the server repeats its SYN/ACK.
    case stalled
    /// The host's kernel never got the SYN/ACK with the true ISN, though it came to this host.
    case notUnmasked
    /// The SYN/ACK does not prove the key; the attempt was given up before a third ACK.
    case withheld
    /// No SYN/ACK came.
    case silence
    /// A RST.
    case refused
    /// The attempt failed at once; why.
    case failed(String)
}

/// All that a probe found out, to be judged.
package struct ProbeFindings: Equatable, Sendable {
    /// The attempt to connect, as it was on the wire; nil if no SYN of it was seen.
    package var connection: HandshakeTrace?
    /// How that ended.
    package var outcome = ConnectionOutcome.silence
    /// The mask that the settings ask for.
    package var mode = MaskMode.full
    /// This host's address to the server.
    package var localAddress: IPAddress
    /// The server's address.
    package var serverAddress: IPAddress
    /// The address that codes are bound to by the settings.
    package var configured: AddressCandidate
    /// Whether the server is in a network of this host's interfaces.
    package var serverIsOnLink = false
    /// The fingerprint of the key.
    package var fingerprint = ""
    /// The queue that the client's daemon should hold, and whether any process holds it.
    package var queueNumber: UInt16 = 200
    /// Whether any process holds that queue.
    package var queueIsHeld = false
    /// Whether a program of this host signs what it exchanges with that address and port (TCP MD5, RFC 2385).
    package var isSigned = false
    /// What the experiments showed.
    package var trials: [Trial] = []
    /// The routers that reported back, nearest first; nil if they were not asked.
    package var hops: [Hop]?
    /// An ICMP error about the attempt.
    package var unreachable: ICMPQuote?
    /// Of how many SYN/ACKs of different handshakes a changed nonce alone could be to blame, and how many there were.
    package var nonceSolutions: (solvable: Int, total: Int)? {
        get { total.map { (solvable, $0) } }
        set { (solvable, total) = (newValue?.solvable ?? 0, newValue?.total) }
    }
    private var solvable = 0
    private var total: Int?
    /// Whether all SYN/ACKs had the nonce 0.
    package var noncesAreZero = false
    /// Whether an acknowledgment gets through with a windowed mask; nil if not tried.
    package var windowedGetsThrough: Bool?

    /// Starts with what is known before anything is sent.
    package init(localAddress: IPAddress, serverAddress: IPAddress, configured: AddressCandidate) {
        self.localAddress = localAddress
        self.serverAddress = serverAddress
        self.configured = configured
    }

    /// What the code of the attempt was; nil if no SYN was seen.
    package var code: CodeFinding? { connection?.syn?.finding }

    /// The answer to a trial of some kind; nil if it was not made.
    package func answer(_ kind: Trial.Kind) -> TrialAnswer? { trials.first { $0.kind == kind }?.answer }

    /// Whether a NAT can be on the way: from a private address to a server elsewhere.
    package var natIsPossible: Bool { localAddress.isPrivate && !serverIsOnLink }
}

extension IPAddress {
    /// Whether the address means something in a private network only (RFC 1918, RFC 6598, RFC 4193, link-local).
    package var isPrivate: Bool {
        let prefixes = [
            IPPrefix(IPAddress(10, 0, 0, 0), length: 8), IPPrefix(IPAddress(172, 16, 0, 0), length: 12),
            IPPrefix(IPAddress(192, 168, 0, 0), length: 16), IPPrefix(IPAddress(100, 64, 0, 0), length: 10),
            IPPrefix(IPAddress(169, 254, 0, 0), length: 16),
            IPPrefix(IPAddress(high: 0xfc00 << 48, low: 0), length: 7),
            IPPrefix(IPAddress(high: 0xfe80 << 48, low: 0), length: 10),
        ]
        return prefixes.contains { $0?.contains(self) ?? false }
    }
}
