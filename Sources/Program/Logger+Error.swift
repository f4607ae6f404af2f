// SPDX-License-Identifier: GPL-2.0-or-later
package import ArgumentParser
package import Linux
package import Logging

extension Logger {
    /// Logs an error, with a line for each problem: its finding in the message, its place and cure as values.
    ///
    /// - Parameters:
    ///   - level: The level of the lines.
    ///   - consequence: What does not work because of the error.
    ///   - error: The error.
    package func log(_ level: Level, _ consequence: String, _ error: some ReportableError) {
        for problem in error.fatal.problems {
            var values: Metadata = [:]
            values["place"] = problem.place.map { "\($0)" }
            values["cure"] = problem.cure.map { "\($0)" }
            log(level: level, "\(consequence): \(problem.finding)", metadata: values)
        }
    }
}

// Here, because the compiler does not count the type of a closure's errors as a use of a module.
/// Runs the body of a program.
///
/// A `FatalError` is written to standard error with the program's name, and sets the exit status.
package func reportingErrors<Result>(
    of program: String, _ body: () throws(FatalError) -> Result
) throws(ExitCode) -> Result {
    do throws(FatalError) {
        return try body()
    } catch {
        StandardError.write("\(program): \(error)\n")
        throw ExitCode(error.status.rawValue)
    }
}
