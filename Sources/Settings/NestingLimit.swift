// SPDX-License-Identifier: GPL-2.0-or-later

/// Limits the nesting depth of documents.
///
/// toml++ limits nested values, but not dotted keys such as `a.a.a.a = 1`, and frees the parsed document recursively.
enum NestingLimit {
    /// The largest number of dots between keys, more than any of our files has.
    static let dots = 1000

    /// Returns whether there are at most `dots` dots outside strings and comments.
    static func holds(for text: [UInt8]) -> Bool {
        var scanner = TOMLScanner(text)
        return scanner.countDots(limit: dots) <= dots
    }
}
