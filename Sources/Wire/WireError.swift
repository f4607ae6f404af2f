// SPDX-License-Identifier: GPL-2.0-or-later

/// Why bytes are not a TCP segment that can be judged.
public enum WireError: Error, Equatable, Sendable {
    /// The bytes end before the headers that they announce.
    case truncated
    /// A length, version or offset contradicts the others.
    case malformed
    /// An IP fragment, whose TCP header may be elsewhere. Connection tracking reassembles before the hooks used here.
    case fragment
    /// A valid IP packet whose payload is not TCP.
    case notTCP
}
