// SPDX-License-Identifier: GPL-2.0-or-later

/// Which way a packet passes the host, as the netfilter hook it was queued at tells.
public enum Direction: Sendable {
    /// From the network: PREROUTING.
    case inbound
    /// To the network: POSTROUTING.
    case outbound
}
