// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
internal import Netfilter
internal import SystemPackage
internal import Wire

/// Answers refused packets in the same way as a closed port of this host.
package struct ResetSender: ~Copyable {
    private var sender: RawSender
    private let hops: (ipv4: UInt8, ipv6: UInt8)
    private let labels: FlowLabels

    /// Opens the sockets, and reads the host's hop limits and flow label settings.
    ///
    /// - Parameter mark: The bit of the packet mark by which the firewall rules recognise these answers.
    /// - Returns: The sender.
    /// - Throws: `FatalError` if a socket cannot be opened.
    package static func open(mark: UInt32) throws(FatalError) -> ResetSender {
        do throws(SystemError) {
            return ResetSender(
                sender: try RawSender(mark: mark),
                hops: (
                    setting("ipv4/ip_default_ttl") { UInt8($0) } ?? 64,
                    setting("ipv6/conf/all/hop_limit") { UInt8($0) } ?? 64
                ),
                labels: FlowLabels(
                    areSet: [1, 3].contains(setting("ipv6/auto_flowlabels") { Int($0) } ?? 1),
                    haveStatelessBit: setting("ipv6/flowlabel_state_ranges") { Int($0) } == 1))
        } catch {
            guard error.isForbidden else { throw error.fatal }
            throw FatalError(
                "\(error)", cure: "on_failure = \"reset\" needs CAP_NET_RAW", status: .noPermission)
        }
    }

    /// Reads a numeric kernel setting (linux/Documentation/networking/ip-sysctl.rst); nil if it does not exist.
    private static func setting<Value>(_ name: String, _ convert: (String) -> Value?) -> Value? {
        let path = FilePath("/proc/sys/net/\(name)")
        guard let bytes = try? path.content(limit: 8) else { return nil }
        let digits = bytes.prefix { $0 >= 0x30 && $0 <= 0x39 }
        return convert(String(decoding: digits, as: UTF8.self))
    }

    private init(sender: consuming RawSender, hops: (ipv4: UInt8, ipv6: UInt8), labels: FlowLabels) {
        self.sender = sender
        self.hops = hops
        self.labels = labels
    }

    /// Prepares the answer to a packet.
    ///
    /// The next `flush` sends it.
    mutating func answer(_ bytes: Span<UInt8>, checksumVerified: Bool) {
        let (hops, labels) = (hops, labels)
        sender.add { slot in
            guard let packet = try? Packet(validating: bytes, checksumVerified: checksumVerified) else { return nil }
            return ResetSegment.write(
                answering: packet, hops: hops, flowLabel: labels.label(answering: packet), to: &slot)
        }
    }

    /// Sends the prepared answers.
    mutating func flush() { sender.flush() }
}

/// The flow labels of this host's packets: constant within a connection, and otherwise random.
private struct FlowLabels {
    let areSet: Bool
    let haveStatelessBit: Bool

    func label(answering packet: borrowing Packet) -> UInt32 {
        guard areSet else { return 0 }
        // The hasher's key is different in each process.
        var hasher = Hasher()
        hasher.combine(packet.source)
        hasher.combine(packet.destination)
        hasher.combine(packet.segment.sourcePort)
        hasher.combine(packet.segment.destinationPort)
        let label = UInt32(truncatingIfNeeded: hasher.finalize()) & 0x000f_ffff
        return haveStatelessBit ? label | 0x0008_0000 : label
    }
}
