// SPDX-License-Identifier: GPL-2.0-or-later
package import ArgumentParser
internal import Glibc
package import KeyFiles
internal import Linux
internal import SystemPackage

/// An error that ends a program, with a message for people and an exit status for scripts (sysexits.h).
package struct FatalError: Error, CustomStringConvertible {
    /// The message: what is wrong, where, and what to do.
    package let description: String
    /// The exit status, 64...78 as in sysexits.h.
    package let status: Int32

    package init(_ description: String, status: Int32) {
        self.description = description
        self.status = status
    }

    /// Creates an error with the exit status for a key file that cannot be used.
    package init(_ error: KeyFileError) {
        let status =
            switch error {
            case .system(_, _, .permissionDenied), .system(_, _, .notPermitted), .accessibleByOthers, .foreign:
                EX_NOPERM
            case .system("open", _, .noSuchFileOrDirectory): EX_NOINPUT
            case .system("create", _, _): EX_CANTCREAT
            case .system, .notSynchronised: EX_IOERR
            case .notARegularFile, .wrongLength, .notRandom: EX_DATAERR
            case .alreadyExists: EX_CANTCREAT
            case .outOfMemory: EX_OSERR
            }
        self.init(error.description, status: status)
    }
}

/// Runs the body of a program.
///
/// A `FatalError` is written to standard error with the program's name, and sets the exit status.
package func reportingErrors<Result>(
    of program: String, _ body: () throws(FatalError) -> Result
) throws(ExitCode) -> Result {
    do throws(FatalError) {
        return try body()
    } catch {
        StandardError.write("\(program): \(error.description)\n")
        throw ExitCode(error.status)
    }
}
