// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import KeyFiles
package import Linux
package import Settings
internal import SystemPackage

/// An error that has a message for people and an exit status.
package protocol ExplainedError: Error {
    /// The error to exit with.
    var fatal: FatalError { get }
}

extension KeyFileError: ExplainedError {
    package var fatal: FatalError { FatalError(self) }
}

extension SystemError: ExplainedError {
    package var fatal: FatalError { FatalError(description, status: EX_OSERR) }
}

extension SettingsError: ExplainedError {
    package var fatal: FatalError { FatalError(self) }
}

extension FileError: ExplainedError {
    package var fatal: FatalError {
        let status =
            switch self {
            case .system(_, _, .permissionDenied), .system(_, _, .notPermitted): EX_NOPERM
            case .system("create", _, _), .system("mkdir", _, _), .alreadyExists, .notARegularFile: EX_CANTCREAT
            case .system, .notSynchronised: EX_IOERR
            }
        return FatalError(description, status: status)
    }
}

extension KeyBundleError: ExplainedError {
    package var fatal: FatalError {
        let status =
            switch self {
            case .system(_, _, .permissionDenied), .accessibleByOthers: EX_NOPERM
            case .system("open", _, .noSuchFileOrDirectory): EX_NOINPUT
            case .system: EX_IOERR
            case .notARegularFile, .malformed: EX_DATAERR
            case .outOfMemory: EX_OSERR
            }
        return FatalError(description, status: status)
    }
}

/// Converts an error thrown by the body into the error to exit with.
package func fatally<Result, Failure: ExplainedError>(
    _ body: () throws(Failure) -> Result
) throws(FatalError) -> Result {
    do throws(Failure) {
        return try body()
    } catch {
        throw error.fatal
    }
}
