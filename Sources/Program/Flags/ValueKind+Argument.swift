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
        try validating { () throws(Refusal) in try parse(texts) }
    }
}

/// Turns the refusal of a value into the error that ArgumentParser reports.
///
/// - Parameters:
///   - prefix: What the message begins with.
///   - body: Takes the value.
/// - Returns: What the body returns.
/// - Throws: `ValidationError`.
func validating<Result>(
    _ prefix: String = "", _ body: () throws(Refusal) -> Result
) throws(ValidationError) -> Result {
    do throws(Refusal) {
        return try body()
    } catch {
        throw ValidationError(prefix + error.text)
    }
}
