// SPDX-License-Identifier: GPL-2.0-or-later
internal import Netfilter
package import SystemPackage
internal import Wire

/// The result of reading a text file.
package enum Reading: Equatable {
    /// The text, and whether it is complete.
    case text(String, isComplete: Bool)
    /// There is no such file.
    case missing
    /// The file cannot be read.
    case refused(Errno)

    /// The text, if it could be read.
    package var text: String? {
        guard case .text(let text, _) = self else { return nil }
        return text
    }

    /// The text as a number, without white space; nil if it is not a number.
    var number: Int? {
        text.flatMap { Int($0.filter { !$0.isWhitespace }) }
    }
}
