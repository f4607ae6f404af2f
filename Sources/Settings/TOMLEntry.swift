// SPDX-License-Identifier: GPL-2.0-or-later

/// A key and its value.
struct TOMLEntry {
    let key: String
    /// The position of the key.
    ///
    /// For a table, that of its name in the header.
    let position: TextPosition?
    let value: TOMLValue
}
