// SPDX-License-Identifier: GPL-2.0-or-later

/// The number that the third ACK acknowledges.
package enum AcknowledgmentFinding: Equatable, Sendable {
    /// The true ISN plus one, as it should be.
    case trueISN
    /// The masked ISN plus one: the client's side did not unmask it. A server locks out a client that sends this.
    case maskedISN
    /// The sequence number of the SYN/ACK plus one, where it is not known whether that number is masked.
    case capturedISN
    /// Another number.
    case other(UInt32)
    /// Unknown, because the SYN/ACK is not in the capture.
    case notJudged
}
