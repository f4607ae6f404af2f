// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

/// A handshake between its SYN and its third ACK, on the server (docs/PROTOCOL.md §6).
struct PendingHandshake {
    /// The progress of a handshake.
    enum Stage {
        /// The SYN was accepted.
        case begun
        /// The SYN/ACK was sent.
        case answered
        /// The third ACK was right.
        case verified
        /// It ended otherwise, and is kept only for its count of SYN/ACKs that were left unanswered.
        case ended
    }

    /// The key that its code was made with.
    let key: KeyID
    /// `C`.
    let clientISN: UInt32
    /// `S` of the latest SYN/ACK; meaningless before there was one.
    var serverISN: UInt32 = 0
    /// The value of `S` before the latest change (SYN cookies change over time).
    var previousServerISN: UInt32 = 0
    /// `F`: the acknowledgment number of the latest SYN/ACK.
    var acknowledged: UInt32 = 0
    /// When its first SYN was accepted: the low 32 bits of the uptime in milliseconds.
    private let begun: UInt32
    /// When it was verified: the low 32 bits of the uptime in milliseconds; meaningless before.
    private var verified: UInt32 = 0
    /// `M`.
    let mode: MaskMode
    /// Whether its `A` is all zeros.
    private let isRoaming: Bool
    /// The progress of this handshake.
    private(set) var stage = Stage.begun
    /// The SYN/ACKs that its guest has left unanswered between the same ends, this handshake's included.
    private(set) var unanswered: UnansweredLimit

    init(_ handshake: Handshake, key: KeyID, mode: MaskMode, after unanswered: UnansweredLimit, at uptime: UInt64) {
        self.key = key
        self.unanswered = unanswered
        clientISN = handshake.clientISN
        isRoaming = handshake == .roaming(clientISN: handshake.clientISN)
        self.mode = mode
        begun = UInt32(truncatingIfNeeded: uptime)
    }

    /// Returns `A` and `C`.
    func handshake(from address: IPAddress) -> Handshake {
        isRoaming ? .roaming(clientISN: clientISN) : Handshake(clientAddress: address, clientISN: clientISN)
    }

    /// Returns the time since its first SYN was accepted, in milliseconds; it wraps after 49 days, beyond any lifetime.
    func age(at uptime: UInt64) -> UInt64 {
        UInt64(UInt32(truncatingIfNeeded: uptime) &- begun)
    }

    /// Returns the time since it was verified, in milliseconds.
    func timeSinceVerification(at uptime: UInt64) -> UInt64 {
        UInt64(UInt32(truncatingIfNeeded: uptime) &- verified)
    }

    /// Whether its third ACK was right.
    var isVerified: Bool {
        if case .verified = stage { true } else { false }
    }

    /// Whether it ended without having been verified.
    var isEnded: Bool {
        if case .ended = stage { true } else { false }
    }

    /// Returns whether it began with this SYN and is not verified yet.
    func hasBegun(with clientISN: UInt32) -> Bool { clientISN == self.clientISN && !isVerified }

    /// Notes a right third ACK.
    mutating func verify(at uptime: UInt64) {
        stage = .verified
        verified = UInt32(truncatingIfNeeded: uptime)
        unanswered.takeBack()
    }

    /// Ends it; no segment belongs to it any more.
    mutating func end() { stage = .ended }

    /// Notes a SYN/ACK.
    mutating func answer(serverISN: UInt32, acknowledged: UInt32, at uptime: UInt64) {
        switch stage {
        case .begun:
            (self.serverISN, previousServerISN) = (serverISN, serverISN)
            stage = .answered
            unanswered.count(at: uptime)
        case .answered where serverISN != self.serverISN:
            (self.serverISN, previousServerISN) = (serverISN, self.serverISN)
            unanswered.count(at: uptime)
        case .answered, .verified, .ended:
            break
        }
        self.acknowledged = acknowledged
    }

    /// Returns whether an acknowledgment number is `S + 1`, for the latest `S` or the one before.
    func isAcknowledged(by acknowledgmentNumber: UInt32) -> Bool {
        let isLatest = acknowledgmentNumber ^ (serverISN &+ 1) == 0
        let isPrevious = acknowledgmentNumber ^ (previousServerISN &+ 1) == 0
        return isLatest || isPrevious
    }
}
