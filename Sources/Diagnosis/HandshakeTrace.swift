// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// Which number the third segment acknowledges.
package enum AcknowledgmentFinding: Equatable, Sendable {
    /// One more than the true ISN, as it should.
    case trueISN
    /// One more than the masked ISN: the client's side did not unmask it. A server locks out who sends this.
    case maskedISN
    /// One more than the sequence number of the SYN/ACK, of which it is not known whether it is masked.
    case capturedISN
    /// Something else.
    case other(UInt32)
    /// The SYN/ACK is not in the capture, so there is nothing to compare with.
    case notJudged
}

/// One handshake of a capture, stage by stage, and what came after it.
package struct HandshakeTrace: Equatable, Sendable {
    /// A SYN.
    package struct SYN: Equatable, Sendable {
        /// When it was captured first.
        package let time: CaptureTime
        /// Its acknowledgment field.
        package let code: UInt32
        /// What that is.
        package let finding: CodeFinding
    }

    /// A SYN/ACK.
    package struct SYNACK: Equatable, Sendable {
        /// When it was captured first.
        package let time: CaptureTime
        /// Its sequence number: `E` where it is masked.
        package let capturedISN: UInt32
        /// Its identification field or flow label.
        package let nonce: UInt32
        /// Its acknowledgment number: `F`.
        package let acknowledgment: UInt32
        /// What the nonce proves.
        package let finding: ProofFinding
    }

    /// The first acknowledgment of the client.
    package struct ThirdACK: Equatable, Sendable {
        /// When it was captured.
        package let time: CaptureTime
        /// What it acknowledges.
        package let finding: AcknowledgmentFinding
    }

    /// What one end sent after the handshake.
    package struct Sender: Equatable, Sendable {
        /// Bytes of data, each counted once.
        package var bytes = 0
        /// Segments with data that had been sent before.
        package var repeatedSegments = 0
        /// RSTs.
        package var resets = 0
        /// FINs.
        package var fins = 0
        /// The sequence number behind what was sent.
        var next: UInt32?
    }

    /// Both ends.
    package let flow: Flow
    /// `C`.
    package let clientISN: UInt32
    /// When the first packet of it was captured.
    package let begin: CaptureTime
    /// The SYN; nil if it is not in the capture.
    package var syn: SYN?
    /// How often the SYN was sent again.
    package var repeatedSYNs = 0
    /// The SYN/ACK; nil if there is none.
    package var synACK: SYNACK?
    /// How often the SYN/ACK was sent again.
    package var repeatedSYNACKs = 0
    /// How often the SYN/ACK was sent again after the third ACK: the server did not take that.
    package var unheardSYNACKs = 0
    /// The third ACK; nil if there is none.
    package var thirdACK: ThirdACK?
    /// Whether the server sent anything but SYN/ACKs and RSTs: it takes the connection for established.
    package var serverWentOn = false
    /// What the client sent.
    package var client = Sender()
    /// What the server sent.
    package var server = Sender()

    init(flow: Flow, clientISN: UInt32, begin: CaptureTime) {
        self.flow = flow
        self.clientISN = clientISN
        self.begin = begin
    }
}
