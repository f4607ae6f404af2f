// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

/// A handshake between its SYN and its third ACK, on the server (docs/PROTOCOL.md §6).
struct PendingHandshake {
    /// How far a handshake has come.
    enum Stage {
        /// The SYN was accepted.
        case begun
        /// The SYN/ACK was sent.
        case answered
        /// The third ACK was right.
        case verified
    }

    /// Whose key its code was made with.
    let key: KeyID
    /// `C`.
    let clientISN: UInt32
    /// `S` of the latest SYN/ACK; of no meaning before it.
    var serverISN: UInt32 = 0
    /// `S` of the SYN/ACK before the latest with another one (SYN cookies change with the time).
    var previousServerISN: UInt32 = 0
    /// `F`: what the latest SYN/ACK acknowledged.
    var acknowledged: UInt32 = 0
    /// The lower half of the uptime at which its first SYN was accepted, in milliseconds.
    private let begun: UInt32
    /// The lower half of the uptime at which it was verified; of no meaning before.
    private var verified: UInt32 = 0
    /// `M`.
    let mode: MaskMode
    /// Whether its `A` is all zero.
    private let isRoaming: Bool
    /// How far it has come.
    private(set) var stage = Stage.begun

    init(_ handshake: Handshake, key: KeyID, mode: MaskMode, at uptime: UInt64) {
        self.key = key
        clientISN = handshake.clientISN
        isRoaming = handshake == .roaming(clientISN: handshake.clientISN)
        self.mode = mode
        begun = UInt32(truncatingIfNeeded: uptime)
    }

    /// `A` and `C`.
    func handshake(from address: IPAddress) -> Handshake {
        isRoaming ? .roaming(clientISN: clientISN) : Handshake(clientAddress: address, clientISN: clientISN)
    }

    /// How long ago its first SYN was accepted, in milliseconds; right for 49 days, and none lives that long.
    func age(at uptime: UInt64) -> UInt64 {
        UInt64(UInt32(truncatingIfNeeded: uptime) &- begun)
    }

    /// How long ago it was verified, in milliseconds.
    func timeSinceVerification(at uptime: UInt64) -> UInt64 {
        UInt64(UInt32(truncatingIfNeeded: uptime) &- verified)
    }

    /// Whether its third ACK was right.
    var isVerified: Bool {
        if case .verified = stage { true } else { false }
    }

    /// Whether it began with this SYN and is not verified yet.
    func hasBegun(with clientISN: UInt32) -> Bool { clientISN == self.clientISN && !isVerified }

    /// Takes note of a right third ACK.
    mutating func verify(at uptime: UInt64) {
        stage = .verified
        verified = UInt32(truncatingIfNeeded: uptime)
    }

    /// Takes note of a SYN/ACK.
    mutating func answer(serverISN: UInt32, acknowledged: UInt32) {
        switch stage {
        case .begun:
            (self.serverISN, previousServerISN) = (serverISN, serverISN)
            stage = .answered
        case .answered where serverISN != self.serverISN:
            (self.serverISN, previousServerISN) = (serverISN, self.serverISN)
        case .answered, .verified:
            break
        }
        self.acknowledged = acknowledged
    }

    /// Says whether an acknowledgment number is `S + 1`, of the latest `S` or the one before.
    func isAcknowledged(by acknowledgmentNumber: UInt32) -> Bool {
        let isLatest = acknowledgmentNumber ^ (serverISN &+ 1) == 0
        let isPrevious = acknowledgmentNumber ^ (previousServerISN &+ 1) == 0
        return isLatest || isPrevious
    }
}

/// What a handshake is known by: guests do not take each other's place, whoever sends in whose name.
struct HandshakeName: Hashable {
    let flow: Flow
    /// Whose key its code was made with.
    let key: KeyID

    init(_ flow: Flow, _ key: KeyID) {
        (self.flow, self.key) = (flow, key)
    }

    /// Those of one flow are found together.
    func hash(into hasher: inout Hasher) { hasher.combine(flow) }
}

/// The handshakes under way.
typealias HandshakeTable = GuestTable<HandshakeName, PendingHandshake>
