// SPDX-License-Identifier: GPL-2.0-or-later
internal import ArgumentParser
package import Settings

extension ValueKind {
    /// Parses the value of a flag or argument.
    ///
    /// - Throws: `ValidationError`.
    @Sendable package func argument(_ text: String) throws -> Value { try argument([text]) }

    /// Parses the values of a flag that was given once or more often.
    ///
    /// - Throws: `ValidationError`.
    package func argument(_ texts: [String]) throws -> Value {
        do throws(Refusal) {
            return try parse(texts)
        } catch {
            throw ValidationError(error.text)
        }
    }
}
