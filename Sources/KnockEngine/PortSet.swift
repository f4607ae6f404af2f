// SPDX-License-Identifier: GPL-2.0-or-later

/// A set of TCP ports, one bit each, so that asking for one is one load.
public struct PortSet: Equatable, Sendable {
    private var words = [UInt64](repeating: 0, count: 1024)

    /// Holds the given ports.
    public init(_ ports: some Sequence<UInt16>) {
        for port in ports {
            words[Int(port >> 6)] |= 1 << UInt64(port & 63)
        }
    }

    /// Says whether a port is in the set.
    @inline(__always)
    public func contains(_ port: UInt16) -> Bool {
        words[Int(port >> 6)] & 1 << UInt64(port & 63) != 0
    }
}
