// SPDX-License-Identifier: GPL-2.0-or-later

/// A value of a TOML document (https://toml.io, version 1.0) and its position.
struct TOMLValue {
    enum Content {
        case string(String)
        case integer(Int64)
        case float
        case boolean(Bool)
        /// A date, or a date and time, in seconds since 1970; in UTC if it has no offset.
        case time(Int64)
        case timeOfDay
        case array([TOMLValue])
        case table([TOMLEntry])
    }

    let content: Content
    let position: TextPosition?
    /// The value as a flag gives it; nil for a value in a document.
    var word: String?
}
