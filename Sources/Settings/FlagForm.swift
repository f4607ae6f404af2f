// SPDX-License-Identifier: GPL-2.0-or-later

/// The way in which a flag gives a value.
enum FlagForm: Equatable, Sendable {
    /// By its presence.
    case presence
    /// By a word.
    case word
    /// By a word, or a number in decimal.
    case number
    /// By a word, or a number in decimal or in hexadecimal with 0x.
    case anyNumber
}
