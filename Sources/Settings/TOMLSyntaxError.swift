// SPDX-License-Identifier: GPL-2.0-or-later

/// The reason why a text is not a TOML document.
struct TOMLSyntaxError: Error {
    let text: String
    let position: TextPosition?
}
