// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux

extension FatalError {
    /// Makes the error of a failed call from errno(3).
    static func ofCall(_ place: String) -> FatalError {
        let number = errno
        return number == EPERM || number == EACCES
            ? .notPermitted(place) : FatalError(unsafe String(cString: strerror(number)), at: place, status: .system)
    }

    /// Makes the error of an operation that is not permitted.
    static func notPermitted(_ place: String) -> FatalError {
        FatalError("not permitted", at: place, cure: "run this as root", status: .noPermission)
    }
}
