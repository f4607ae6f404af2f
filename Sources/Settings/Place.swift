// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// Where packets go to, or come from.
package enum Place: Hashable, Sendable {
    /// This host itself.
    case own
    /// An address, or all with a prefix.
    case prefix(IPPrefix)
    /// All that comes in by an interface; its name.
    case interface(String)

    /// The family that its packets are of; nil for both.
    package var family: IPFamily? {
        if case .prefix(let prefix) = self { prefix.address.family } else { nil }
    }

    /// Whether it is so many addresses that strangers are sure to have some of them.
    package var isOpenToTheWorld: Bool {
        guard case .prefix(let prefix) = self else { return false }
        // Longer ones are what one organisation has, or at least may have.
        guard prefix.mappedLength < (prefix.address.family == .ipv4 ? 96 + 16 : 32) else { return false }
        return !PrivateNetworks.contain(prefix)
    }
}

extension Place: LosslessStringConvertible {
    private static let interfaceWord = "interface:"

    /// Reads `own`, an address, a prefix, or `interface:NAME`; nil if it is none of them.
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

    /// What the kernel takes for a name (dev_valid_name), of characters that the firewall rules can have unquoted.
    private static func isInterface(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name.first != "-" && name != "." && name != ".."
            && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
    }

    /// As people write it; a prefix that is one address without its length.
    package var description: String {
        switch self {
        case .own: "own"
        case .prefix(let prefix): prefix.mappedLength == 128 ? prefix.address.description : prefix.description
        case .interface(let name): Self.interfaceWord + name
        }
    }
}
