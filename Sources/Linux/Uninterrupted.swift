// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Repeats a system call while signals interrupt it (EINTR of signal(7)).
///
/// - Parameter call: The call, which on failure returns -1 and sets errno(3).
/// - Returns: The last result. If it is -1, errno is not EINTR.
public func uninterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        guard result == -1, errno == EINTR else { return result }
    }
}
