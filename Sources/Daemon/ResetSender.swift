// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import NetfilterQueue
internal import SystemPackage
internal import Wire

/// Answers refused packets as a closed port of this host does.
package struct ResetSender: ~Copyable {
    private var sender: RawSender
    private let hops: (ipv4: UInt8, ipv6: UInt8)

    /// Opens the sockets, and looks up how many hops this host gives its packets.
    ///
    /// - Throws: What is in the way.
    package static func open() throws(FatalError) -> ResetSender {
        do throws(SystemError) {
            return ResetSender(
                sender: try RawSender(), hops: (hops("ipv4/ip_default_ttl"), hops("ipv6/conf/all/hop_limit")))
        } catch {
            let advice = error.number == EPERM ? "; on_failure = \"reset\" needs CAP_NET_RAW" : ""
            throw FatalError("\(error)\(advice)", status: error.number == EPERM ? EX_NOPERM : EX_OSERR)
        }
    }

    private static func hops(_ setting: String) -> UInt8 {
        let path = FilePath("/proc/sys/net/\(setting)")
        guard let file = try? FileDescriptor.open(path, .readOnly, options: .closeOnExec) else { return 64 }
        defer { try? file.close() }
        var bytes = [UInt8](repeating: 0, count: 8)
        let count = (unsafe try? bytes.withUnsafeMutableBytes { unsafe try file.read(into: $0) }) ?? 0
        let digits = bytes.prefix(count).prefix { $0 >= 0x30 && $0 <= 0x39 }
        return UInt8(String(decoding: digits, as: UTF8.self)) ?? 64
    }

    private init(sender: consuming RawSender, hops: (ipv4: UInt8, ipv6: UInt8)) {
        self.sender = sender
        self.hops = hops
    }

    /// Prepares the answer to a packet; it goes out with the next `flush`.
    mutating func answer(_ bytes: Span<UInt8>, checksumVerified: Bool) {
        let hops = hops
        sender.add { slot in
            guard let packet = try? Packet(validating: bytes, checksumVerified: checksumVerified) else { return nil }
            return ResetSegment.write(answering: packet, hops: hops, to: &slot)
        }
    }

    /// Sends what was prepared.
    mutating func flush() { sender.flush() }
}
