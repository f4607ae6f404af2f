// SPDX-License-Identifier: GPL-2.0-or-later

/// The mask of one SYN/ACK (docs/PROTOCOL.md §5.2).
public struct ISNMask: Equatable, Sendable {
    /// The maximum distance of a windowed masked ISN above the true one.
    private static let window: UInt32 = 32768

    private let pad: UInt32
    private let mode: MaskMode

    /// Computes the mask from a handshake and the nonce of its SYN/ACK.
    public init(keys: KeySchedule, handshake: Handshake, nonce: UInt32, mode: MaskMode) {
        let output = keys.hash(.isnMask, handshake, nonce).finish(UInt64(mode.rawValue), length: 25)
        self.pad = UInt32(truncatingIfNeeded: output >> 32)
        self.mode = mode
    }

    /// Returns `E`, the sequence number on the wire, for the true ISN `S`.
    public func mask(_ serverISN: UInt32) -> UInt32 {
        switch mode {
        case .full: serverISN ^ pad
        case .windowed: serverISN &+ 1 &+ pad % Self.window
        }
    }

    /// Returns `S`, the true ISN, for the sequence number `E` on the wire.
    public func unmask(_ maskedISN: UInt32) -> UInt32 {
        switch mode {
        case .full: maskedISN ^ pad
        case .windowed: maskedISN &- 1 &- pad % Self.window
        }
    }
}
