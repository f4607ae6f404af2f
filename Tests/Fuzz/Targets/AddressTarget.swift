// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings
internal import Wire

/// Addresses, prefixes and hosts as people write them: written again they are read as the same.
enum AddressTarget {
    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        let text = String(decoding: input, as: UTF8.self)
        if let address = IPAddress(text) {
            try hold(IPAddress(address.description) == address, "\(text) is \(address)")
        }
        if let prefix = IPPrefix(text) {
            try hold(IPPrefix(prefix.description) == prefix, "\(text) is \(prefix)")
            try hold(prefix.contains(prefix.address), "\(prefix) does not contain its own address")
        }
        if let host = TargetHost(text), case .name(let name) = host {
            try hold(name == name.lowercased() && !name.contains("/") && !name.isEmpty, "\(text) is the host \(name)")
        }
    }
}
