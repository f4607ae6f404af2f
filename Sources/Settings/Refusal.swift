// SPDX-License-Identifier: GPL-2.0-or-later

/// The reason why a value is refused.
package struct Refusal: Error {
    /// What is wrong, with the value in it.
    ///
    /// It stands alone, after the name of a key or after the flag.
    package let text: String
    /// The exact position in the file, if that is not the start of the value.
    let position: TextPosition?

    /// Creates a refusal with a reason.
    init(_ text: String, at position: TextPosition? = nil) {
        self.text = text
        self.position = position
    }
}
