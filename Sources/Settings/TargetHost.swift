// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// The hosts of a target.
package enum TargetHost: Hashable, Sendable {
    /// An address, or all addresses of a prefix.
    case prefix(IPPrefix)
    /// A name to resolve, in lower case.
    case name(String)

    /// A placeholder for a host that could not be read.
    ///
    /// It cannot occur in a file.
    static let missing = TargetHost.name("")
}

extension TargetHost: LosslessStringConvertible {
    /// Parses an address, a prefix or a host name (RFC 1123 §2.1, but also with underscores); nil if the text is none
    /// of these.
    package init?(_ text: String) {
        if let prefix = IPPrefix(text) {
            self = .prefix(prefix)
            return
        }
        var labels = text.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        if labels.count > 1, labels.last == "" { labels.removeLast() }
        let isName = labels.allSatisfy { label in
            !label.isEmpty && label.utf8.count <= 63 && label.first != "-" && label.last != "-"
                && label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        }
        // If the last label consists of digits only, this is a mistyped address.
        guard isName, text.utf8.count <= 253, let last = labels.last, !last.allSatisfy(\.isNumber)
        else { return nil }
        self = .name(labels.joined(separator: "."))
    }

    /// The host in the syntax of the settings.
    ///
    /// A prefix of a single address is written without its length.
    package var description: String {
        switch self {
        case .prefix(let prefix): prefix.mappedLength == 128 ? prefix.address.description : prefix.description
        case .name(let name): name
        }
    }
}

extension TargetHost {
    /// Whether it stands for a single host.
    package var isOne: Bool {
        switch self {
        case .prefix(let prefix): prefix.mappedLength == 128
        case .name: true
        }
    }
}
