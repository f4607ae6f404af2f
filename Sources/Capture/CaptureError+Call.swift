// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Makes the error of a failed call from errno(3).
func callFailed(_ what: String) -> CaptureError {
    let number = errno
    if number == EPERM || number == EACCES { return .notPermitted(what) }
    return .failed(what, reason: unsafe String(cString: strerror(number)))
}
