// SPDX-License-Identifier: GPL-2.0-or-later

/// The reason why bytes are not a TCP segment that can be judged.
public enum WireError: Error, Equatable, Sendable {
    /// The bytes end before the headers do.
    case truncated
    /// A length, version or offset contradicts another.
    case malformed
    /// An IP fragment, whose TCP header may be elsewhere. Connection tracking reassembles before the hooks used here.
    case fragment
    /// A valid IP packet whose payload is not TCP.
    case notTCP
}
