// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Network namespaces for tests.
///
/// Each lives in a process of its own and ends with it.
package enum NetworkNamespace {
    /// The reason why none can be made here; nil if there is none.
    package static var obstacle: String? { geteuid() == 0 ? nil : "network namespaces can be made by root alone" }

    /// Moves the calling thread, and what it starts, into a new network namespace in which loopback is up.
    ///
    /// Only synchronous code after the call is sure to stay on this thread.
    package static func enterNew() {
        // <sched.h> hides unshare(2) from Swift.
        typealias Unshare = @convention(c) (Int32) -> Int32
        guard let symbol = dlsym(nil, "unshare") else { preconditionFailure("no unshare(2)") }
        let unshare = unsafeBitCast(symbol, to: Unshare.self)
        let newNetwork: Int32 = 0x4000_0000
        precondition(unshare(newNetwork) == 0, "unshare: \(String(cString: strerror(errno)))")
        run("ip link set lo up")
    }

    /// Runs a shell command in the calling thread's namespace; traps if it fails.
    package static func run(_ text: String) {
        precondition(system(text) == 0, text)
    }
}
