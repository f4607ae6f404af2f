// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Makes a system call once more for as long as signals interrupt it (EINTR of signal(7)).
///
/// - Parameter call: The call; -1 with errno(3) set is a failure.
/// - Returns: What it returned at last; if that is -1, errno is not EINTR.
public func uninterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        guard result == -1, errno == EINTR else { return result }
    }
}
