// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
package import Linux
internal import SystemPackage

/// The privileges of a daemon, which it reduces as soon as it has opened all it needs (capabilities(7)).
package enum Privileges {
    /// Keeps keys out of core files and away from other programs of the same user.
    ///
    /// Call this before any key is read.
    package static func forbidDumps() throws(FatalError) {
        guard clinux_forbid_dumps() == 0 else {
            throw SystemError("prctl PR_SET_DUMPABLE").fatal
        }
    }

    /// Limits programs started from now on to the capabilities that firewall rules require, even if they run as root.
    ///
    /// These are CAP_NET_ADMIN, CAP_NET_RAW for the socket through which iptables-legacy talks to the kernel, and
    /// CAP_BPF for attaching the kernel filter. Root's files are accessible to root without any capability.
    ///
    /// - Throws: The kernel's error, after which the daemon must not continue.
    package static func limitPrograms() throws(FatalError) {
        let kept = [CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF].reduce(into: 0 as UInt64) { $0 |= 1 << UInt64($1) }
        var call: UnsafePointer<CChar>?
        guard unsafe clinux_limit_programs(kept, &call) == 0 else { throw unsafe notGivenUp(errno, call) }
    }

    /// Drops all capabilities except CAP_NET_ADMIN, which the kernel requires for each verdict, and changes the user.
    ///
    /// Capabilities belong to threads, so there must be only one thread yet.
    ///
    /// - Parameter identity: The user to become; nil to keep the user.
    /// - Throws: The kernel's error, after which the daemon must not continue.
    package static func reduce(to identity: Identity?) throws(FatalError) {
        guard threadCount == 1 else {
            throw FatalError("\(threadCount) threads have begun before privileges were given up", status: .software)
        }
        // If the daemon was started as the user already, there is nothing to change.
        let change = geteuid() == 0 ? identity : nil
        var call: UnsafePointer<CChar>?
        let result = unsafe clinux_reduce_privileges(change?.name, change?.user ?? 0, change?.group ?? 0, &call)
        guard result == 0 else { throw unsafe notGivenUp(errno, call) }
    }

    /// Drops all capabilities and all ways to regain any, but keeps the user.
    ///
    /// Call this while there is only one thread.
    ///
    /// - Throws: The kernel's error.
    static func giveUpAll() throws(FatalError) {
        try forbidDumps()
        var call: UnsafePointer<CChar>?
        guard unsafe clinux_give_up_all(&call) == 0 else { throw unsafe notGivenUp(errno, call) }
    }

    private static func notGivenUp(_ reason: Int32, _ call: UnsafePointer<CChar>?) -> FatalError {
        let name = unsafe call.map { unsafe String(cString: $0) } ?? ""
        return FatalError("privileges not given up: \(SystemError(name, reason))", status: .system)
    }

    /// Runs the body with the privileges that will be left after `reduce`, to find out whether it will work then.
    package static func whileReduced<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        clinux_set_reduced(1)
        defer { clinux_set_reduced(0) }
        return try body()
    }

    /// The number of threads of this process (proc_pid_task(5)).
    private static var threadCount: Int { ("/proc/self/task" as FilePath).entries.count }
}
