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
        /// The third ACK was right, at this uptime in milliseconds.
        case verified(at: UInt64)
    }

    /// `C`.
    let clientISN: UInt32
    /// `M`.
    let mode: MaskMode
    /// When its SYN was accepted first, in milliseconds of uptime.
    let begun: UInt64
    /// How far it has come.
    var stage = Stage.begun
    /// `S` of the latest SYN/ACK; of no meaning before it.
    var serverISN: UInt32 = 0
    /// `S` of the SYN/ACK before the latest with another one (SYN cookies change with the time).
    var previousServerISN: UInt32 = 0
    /// `F`: what the latest SYN/ACK acknowledged.
    var acknowledged: UInt32 = 0

    init(clientISN: UInt32, mode: MaskMode, begun: UInt64) {
        self.clientISN = clientISN
        self.mode = mode
        self.begun = begun
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

/// The handshakes under way, by their flow; when it is full, the oldest gives way.
typealias HandshakeTable = ExpiringTable<Flow, PendingHandshake>
