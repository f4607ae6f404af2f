// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// One handshake of a capture, stage by stage, and what followed it.
package struct HandshakeTrace: Equatable, Sendable {
    /// A SYN.
    package struct SYN: Equatable, Sendable {
        /// The time of its first capture.
        package let time: CaptureTime
        /// The acknowledgment field.
        package let code: UInt32
        /// What the acknowledgment field was found to be.
        package let finding: CodeFinding
    }

    /// A SYN/ACK.
    package struct SYNACK: Equatable, Sendable {
        /// The time of its first capture.
        package let time: CaptureTime
        /// The sequence number; `E` of docs/PROTOCOL.md §5.2 if it is masked.
        package let capturedISN: UInt32
        /// The identification field or flow label.
        package let nonce: UInt32
        /// The acknowledgment number, `F` of docs/PROTOCOL.md §5.2.
        package let acknowledgment: UInt32
        /// What the nonce was found to prove.
        package let finding: ProofFinding
    }

    /// The first ACK of the client.
    package struct ThirdACK: Equatable, Sendable {
        /// The time of the capture.
        package let time: CaptureTime
        /// The number that it acknowledges.
        package let finding: AcknowledgmentFinding
    }

    /// The traffic of one end after the handshake.
    package struct Sender: Equatable, Sendable {
        /// The bytes of data, each counted once.
        package var bytes = 0
        /// The number of segments that carried only data that had been sent before.
        package var repeatedSegments = 0
        /// The number of RSTs.
        package var resets = 0
        /// The number of FINs.
        package var fins = 0
        /// The sequence number that follows what was sent.
        var next: UInt32?
    }

    /// The two ends of the connection.
    package let flow: Flow
    /// The client's ISN, `C` of docs/PROTOCOL.md §4.
    package let clientISN: UInt32
    /// The time at which its first packet was captured.
    package let begin: CaptureTime
    /// The SYN; nil if it is not in the capture.
    package var syn: SYN?
    /// The number of repetitions of the SYN.
    package var repeatedSYNs = 0
    /// The SYN/ACK; nil if it is not in the capture.
    package var synACK: SYNACK?
    /// The number of repetitions of the SYN/ACK.
    package var repeatedSYNACKs = 0
    /// The number of repetitions of the SYN/ACK after the third ACK, which the server therefore did not accept.
    package var unheardSYNACKs = 0
    /// The third ACK; nil if it is not in the capture.
    package var thirdACK: ThirdACK?
    /// Whether the server, after the third ACK, sent something other than a SYN/ACK or RST: it considers the connection
    /// established.
    package var serverWentOn = false
    /// The traffic of the client.
    package var client = Sender()
    /// The traffic of the server.
    package var server = Sender()

    init(flow: Flow, clientISN: UInt32, begin: CaptureTime) {
        self.flow = flow
        self.clientISN = clientISN
        self.begin = begin
    }
}
