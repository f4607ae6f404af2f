// SPDX-License-Identifier: GPL-2.0-or-later

/// The direction in which a packet passes this host, given by the netfilter hook that queued it.
public enum Direction: Sendable {
    /// From the network: PREROUTING.
    case inbound
    /// To the network: POSTROUTING.
    case outbound
}
