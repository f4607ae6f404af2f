// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

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
