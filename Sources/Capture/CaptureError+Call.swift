// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// A failed call with the reason of errno(3).
func callFailed(_ what: String) -> CaptureError {
    let number = errno
    if number == EPERM || number == EACCES { return .notPermitted(what) }
    return .failed(what, reason: unsafe String(cString: strerror(number)))
}
