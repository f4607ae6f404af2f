// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import SystemPackage

extension KernelFilterError {
    /// Creates an error from `errno`, which the named call has just set.
    init(call: String) {
        let errno = Errno(rawValue: Glibc.errno)
        self = errno == .notPermitted ? .notPermitted(call: call) : .system(call: call, errno)
    }
}
