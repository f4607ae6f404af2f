// SPDX-License-Identifier: GPL-2.0-or-later

/// A set of TCP ports, stored as one bit per port so that a lookup is one load.
public struct PortSet: Equatable, Sendable {
    private var words = [UInt64](repeating: 0, count: 1024)

    /// Creates a set of the given ports.
    public init(_ ports: some Sequence<UInt16>) {
        for port in ports {
            words[Int(port >> 6)] |= 1 << UInt64(port & 63)
        }
    }

    /// Returns whether a port is in the set.
    @inline(__always)
    public func contains(_ port: UInt16) -> Bool {
        words[Int(port >> 6)] & 1 << UInt64(port & 63) != 0
    }
}
