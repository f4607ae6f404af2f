// SPDX-License-Identifier: GPL-2.0-or-later

/// An error that can be reported: it says what is wrong, where, what to do, and which exit status it stands for.
public protocol ReportableError: Error, CustomStringConvertible {
    /// The error with these fields, to end a program with.
    var fatal: FatalError { get }
}

extension ReportableError {
    /// The text for people: `place: finding; cure`, with a line for each problem.
    public var description: String {
        fatal.problems.map { problem in
            (problem.place.map { "\($0): " } ?? "") + problem.finding + (problem.cure.map { "; \($0)" } ?? "")
        }.joined(separator: "\n")
    }
}

/// Converts an error thrown by the body into the error to exit with.
package func fatally<Result, Failure: ReportableError>(
    _ body: () throws(Failure) -> Result
) throws(FatalError) -> Result {
    do throws(Failure) {
        return try body()
    } catch {
        throw error.fatal
    }
}
