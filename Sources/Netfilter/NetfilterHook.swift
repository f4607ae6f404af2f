// SPDX-License-Identifier: GPL-2.0-or-later

/// A netfilter hook of the IP families (`enum nf_inet_hooks`, linux/netfilter.h).
public struct NetfilterHook: RawRepresentable, Hashable, Sendable {
    /// The number of the hook.
    public let rawValue: UInt8

    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `NF_INET_PRE_ROUTING`: packets from the network, before routing.
    @inlinable public static var prerouting: NetfilterHook { NetfilterHook(rawValue: 0) }
    /// `NF_INET_POST_ROUTING`: packets to the network, after routing.
    @inlinable public static var postrouting: NetfilterHook { NetfilterHook(rawValue: 4) }
}
