// SPDX-License-Identifier: GPL-2.0-or-later

extension String {
    /// The string, shortened to 200 characters, with `?` in place of characters that could control a terminal.
    var printable: String {
        String(unicodeScalars.prefix(200).map { $0.properties.generalCategory.isPrintable ? Character($0) : "?" })
    }
}

extension Unicode.GeneralCategory {
    /// Whether characters of this category are printable.
    ///
    /// Spaces are.
    fileprivate var isPrintable: Bool {
        switch self {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}
