// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// A destination or source of packets.
package enum Place: Hashable, Sendable {
    /// This host itself.
    case own
    /// An address, or all addresses of a prefix.
    case prefix(IPPrefix)
    /// All packets that arrive on the interface with this name.
    case interface(String)

    /// The address family of the packets; nil for both.
    package var family: IPFamily? {
        if case .prefix(let prefix) = self { prefix.address.family } else { nil }
    }

    /// Whether the place contains so many public addresses that strangers are certain to have some of them.
    package var isOpenToTheWorld: Bool {
        guard case .prefix(let prefix) = self else { return false }
        // A single organisation has, or at least may have, all addresses of a longer prefix.
        guard prefix.mappedLength < (prefix.address.family == .ipv4 ? 96 + 16 : 32) else { return false }
        return !PrivateNetworks.contain(prefix)
    }
}

extension Place: LosslessStringConvertible {
    private static let interfaceWord = "interface:"

    /// Parses `own`, an address, a prefix, or `interface:NAME`; nil if the text is none of these.
    package init?(_ text: String) {
        if text == "own" {
            self = .own
        } else if text.hasPrefix(Self.interfaceWord) {
            let name = String(text.dropFirst(Self.interfaceWord.count))
            guard Self.isInterface(name) else { return nil }
            self = .interface(name)
        } else if let prefix = IPPrefix(text) {
            self = .prefix(prefix)
        } else {
            return nil
        }
    }

    /// Returns whether the kernel accepts the name (dev_valid_name) and firewall rules can contain it unquoted.
    private static func isInterface(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name.first != "-" && name != "." && name != ".."
            && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
    }

    /// The place in the syntax of the settings.
    ///
    /// A prefix of a single address is written without its length.
    package var description: String {
        switch self {
        case .own: "own"
        case .prefix(let prefix): prefix.mappedLength == 128 ? prefix.address.description : prefix.description
        case .interface(let name): Self.interfaceWord + name
        }
    }
}
