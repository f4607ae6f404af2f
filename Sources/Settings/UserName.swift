// SPDX-License-Identifier: GPL-2.0-or-later

/// A user, optionally with a group other than the user's own: `NAME` or `NAME:GROUP`.
package struct UserName: Equatable, Sendable {
    /// The user's name.
    package let user: String
    /// The group's name; nil for the user's own group.
    package let group: String?

    /// Parses the text; nil if a name is empty or contains spaces or control characters.
    package init?(_ text: String) {
        let names = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard
            names.allSatisfy({ name in
                !name.isEmpty && name.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7f && $0 != ":" }
            }), let user = names.first
        else { return nil }
        self.user = user
        group = names.count > 1 ? names[1] : nil
    }
}
