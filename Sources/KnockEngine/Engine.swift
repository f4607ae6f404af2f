// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// What decides on packets: no I/O, no clock, no logger.
package protocol Engine: ~Copyable, SendableMetatype {
    /// Decides on a packet that the kernel queued.
    mutating func decide(_ packet: borrowing Packet, _ direction: Direction, at now: Instant) -> Verdict

    /// Decides on bytes that are no TCP segment.
    mutating func decide(_ error: WireError) -> Verdict

    /// Takes the oldest event that has not been taken.
    mutating func nextEvent() -> Event?

    /// How many packets got a verdict for each reason.
    var counters: Counters { get }

    /// How many events found no room because nobody took the earlier ones.
    var lostEvents: UInt64 { get }
}

extension Engine where Self: ~Copyable {
    /// Takes bytes from the kernel, decides on them, and makes the changes that the verdict asks for.
    ///
    /// - Parameters:
    ///   - bytes: One packet as it came from the kernel, beginning with its IP header.
    ///   - direction: Which way it passes the host.
    ///   - now: The time.
    ///   - checksumVerified: Whether the kernel has verified the TCP checksum.
    /// - Returns: The verdict; what it says of fields to be changed is done.
    package mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, checksumVerified: Bool = false
    ) -> Verdict {
        let verdict: Verdict
        let layout: PacketLayout
        do throws(WireError) {
            let packet = try Packet(validating: bytes.span, checksumVerified: checksumVerified)
            layout = packet.layout
            verdict = decide(packet, direction, at: now)
        } catch {
            return decide(error)
        }
        if case .rewrite(let rewrite) = verdict.action {
            rewrite.apply(to: &bytes, layout: layout)
        }
        return verdict
    }
}
