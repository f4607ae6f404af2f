// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

extension IPAddress: LosslessStringConvertible {
    /// Parses an address in its usual notation (inet_pton(3)); nil if it is invalid.
    public init?(_ text: String) {
        guard !text.utf8.contains(0) else { return nil }
        var ipv4 = in_addr()
        var ipv6 = in6_addr()
        if unsafe inet_pton(AF_INET, text, &ipv4) == 1 {
            self.init(ipv4: UInt32(bigEndian: ipv4.s_addr))
        } else if unsafe inet_pton(AF_INET6, text, &ipv6) == 1 {
            let halves = unsafe withUnsafeBytes(of: ipv6) { bytes in
                unsafe (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            self.init(high: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1))
        } else {
            return nil
        }
    }

    /// The address in its usual notation (inet_ntop(3), RFC 5952).
    public var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        if let ipv4 {
            var address = in_addr(s_addr: ipv4.bigEndian)
            unsafe inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
        } else {
            var bytes = (high.bigEndian, low.bigEndian)
            unsafe inet_ntop(AF_INET6, &bytes, &text, socklen_t(text.count))
        }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension IPPrefix: LosslessStringConvertible {
    /// Parses `ADDRESS` or `ADDRESS/LENGTH`; nil if it is invalid.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else { return nil }
        switch parts.count {
        case 1:
            self.init(address, length: address.family == .ipv4 ? 32 : 128)
        case 2:
            guard parts[1].first?.isNumber == true, let length = UInt8(parts[1]) else { return nil }
            self.init(address, length: Int(length))
        default:
            return nil
        }
    }

    /// `ADDRESS/LENGTH`.
    public var description: String {
        "\(address)/\(mappedLength - (address.family == .ipv4 ? 96 : 0))"
    }
}
