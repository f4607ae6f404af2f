// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

/// The answer to a SYN of an experiment.
package enum TrialAnswer: String, Sendable {
    /// No answer in time.
    case silence
    /// A RST.
    case refused
    /// A SYN/ACK whose proof holds.
    case proven
    /// A SYN/ACK whose proof does not hold.
    case unproven
}

/// A SYN that was sent as an experiment, and its answer.
package struct Trial: Equatable, Sendable {
    /// The kinds of experiments.
    package enum Kind: Equatable, Sendable {
        /// The code that the client's daemon should write according to the settings.
        case asConfigured
        /// The code bound to another address than the settings say.
        case address(AddressCandidate)
        /// The code of this many minutes later than this host's time.
        case minutesLater(Int)
        /// The code with the opposite time setting: without time, or with it if the settings do without.
        case otherTiming
        /// A number that is not a right code.
        case wrongCode
    }

    /// The kind of experiment.
    package let kind: Kind
    /// The answer.
    package let answer: TrialAnswer

    package init(_ kind: Kind, _ answer: TrialAnswer) {
        self.kind = kind
        self.answer = answer
    }
}

/// A router on the way, and how the SYN had been changed when it arrived there.
package struct Hop: Equatable, Sendable {
    /// A field of the SYN that was changed on the way.
    package enum Change: String, CaseIterable, Sendable {
        case code = "acknowledgment field"
        case isn = "sequence number"
        case identifier = "identification field or flow label"
    }

    /// The distance of the router in hops; the first is 1.
    package let distance: Int
    /// The router's address.
    package let router: IPAddress
    /// The fields that were changed.
    ///
    /// Fields that the quote does not include count as unchanged.
    package let changes: [Change]

    package init(distance: Int, router: IPAddress, changes: [Change]) {
        self.distance = distance
        self.router = router
        self.changes = changes
    }

    /// Whether a server can no longer recognise the SYN as a knock.
    var breaksTheCode: Bool { changes.contains(.code) || changes.contains(.isn) }
}

/// The outcome of the attempt to connect.
package enum ConnectionOutcome: Equatable, Sendable {
    /// The server accepted the third ACK and went on.
    case works
    /// This host's kernel has the connection; the server neither went on nor repeated its SYN/ACK.
    case unconfirmed
    /// This host's kernel has the connection, but the server repeats its SYN/ACK.
    case stalled
    /// This host's kernel never got the SYN/ACK with the true ISN, although it arrived at this host.
    case notUnmasked
    /// The SYN/ACK does not prove the key, so the attempt was abandoned before a third ACK.
    case withheld
    /// No SYN/ACK came.
    case silence
    /// A RST.
    case refused
    /// The attempt failed at once, for this reason.
    case failed(String)
}

/// Everything that a probe found out, to be judged.
package struct ProbeFindings: Equatable, Sendable {
    /// The attempt to connect, as captured; nil if no SYN of it was seen.
    package var connection: HandshakeTrace?
    /// The outcome of the attempt.
    package var outcome = ConnectionOutcome.silence
    /// The mask that the settings ask for.
    package var mode = MaskMode.full
    /// The address of this host on the way to the server.
    package var localAddress: IPAddress
    /// The server's address.
    package var serverAddress: IPAddress
    /// The address that codes are bound to according to the settings.
    package var configured: AddressCandidate
    /// Whether the server is on a network of one of this host's interfaces.
    package var serverIsOnLink = false
    /// The fingerprint of the key.
    package var fingerprint = ""
    /// The number of the queue that the client's daemon should be bound to.
    package let queueNumber: UInt16
    /// The folder of the firewall scripts.
    let scripts: String
    /// Whether any process is bound to that queue.
    package var queueIsHeld = false
    /// Whether a program of this host signs its segments to that address and port (TCP MD5, RFC 2385).
    package var isSigned = false
    /// The experiments and their answers.
    package var trials: [Trial] = []
    /// The routers that reported back, nearest first; nil if none were asked.
    package var hops: [Hop]?
    /// An ICMP error about the attempt; nil if none arrived.
    package var unreachable: ICMPQuote?
    /// The number of SYN/ACKs, each of another handshake, that a changed nonce alone could explain, and the number
    /// examined; nil if none were examined.
    package var nonceSolutions: (solvable: Int, total: Int)? {
        get { total.map { (solvable, $0) } }
        set { (solvable, total) = (newValue?.solvable ?? 0, newValue?.total) }
    }
    private var solvable = 0
    private var total: Int?
    /// Whether the nonce was 0 in all SYN/ACKs.
    package var noncesAreZero = false
    /// Whether an acknowledgment gets through with a windowed mask; nil if that was not tried.
    package var windowedGetsThrough: Bool?

    /// Starts with what is known before anything is sent.
    ///
    /// - Parameters:
    ///   - localAddress: The address of this host on the way to the server.
    ///   - serverAddress: The server's address.
    ///   - configured: The address that codes are bound to according to the settings.
    ///   - queueNumber: The number of the queue that the client's daemon should be bound to.
    ///   - scripts: The folder of the firewall scripts, for commands to type.
    package init(
        localAddress: IPAddress, serverAddress: IPAddress, configured: AddressCandidate, queueNumber: UInt16,
        scripts: String
    ) {
        self.localAddress = localAddress
        self.serverAddress = serverAddress
        self.configured = configured
        self.queueNumber = queueNumber
        self.scripts = scripts
    }

    /// What the code of the attempt was found to be; nil if no SYN was seen.
    package var code: CodeFinding? { connection?.syn?.finding }

    /// Returns the answer to an experiment of this kind; nil if it was not made.
    package func answer(_ kind: Trial.Kind) -> TrialAnswer? { trials.first { $0.kind == kind }?.answer }

    /// Whether a NAT may be on the way: the local address is private, and the server is not on the local network.
    package var natIsPossible: Bool { localAddress.isPrivate && !serverIsOnLink }
}

extension IPAddress {
    /// Whether the address is meaningful only in a private network or on a link (RFC 1918, RFC 6598, RFC 4193,
    /// link-local).
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
