// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
package import Linux

/// What a daemon may do, which becomes less as soon as it has what it works with (capabilities(7)).
package enum Privileges {
    /// Keeps keys out of core files and from other programs of the same user; before any key is read.
    package static func forbidDumps() throws(FatalError) {
        guard clinux_forbid_dumps() == 0 else {
            throw FatalError(SystemError("prctl PR_SET_DUMPABLE").description, status: EX_OSERR)
        }
    }

    /// Lets programs that are run from now on have only what putting firewall rules in takes, even as root.
    ///
    /// That is CAP_NET_ADMIN, CAP_NET_RAW for the socket that iptables-legacy asks the kernel through, and CAP_BPF to
    /// attach the kernel filter. Root's files are root's without any.
    ///
    /// - Throws: What the kernel says against it; then the daemon must not go on.
    package static func limitPrograms() throws(FatalError) {
        let kept = [CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF].reduce(into: 0 as UInt64) { $0 |= 1 << UInt64($1) }
        var call: UnsafePointer<CChar>?
        guard unsafe clinux_limit_programs(kept, &call) == 0 else { throw unsafe notGivenUp(errno, call) }
    }

    /// Gives up all but CAP_NET_ADMIN, which the kernel asks for at each verdict, and becomes somebody else if wanted.
    ///
    /// Capabilities belong to threads, so there must be only one yet.
    ///
    /// - Parameter identity: Whom to become; nil to stay.
    /// - Throws: What the kernel says against it; then the daemon must not go on.
    package static func reduce(to identity: Identity?) throws(FatalError) {
        guard threadCount == 1 else {
            throw FatalError("\(threadCount) threads have begun before privileges were given up", status: EX_SOFTWARE)
        }
        // Who was started as the user already has nobody to become.
        let change = geteuid() == 0 ? identity : nil
        var call: UnsafePointer<CChar>?
        let result = unsafe clinux_reduce_privileges(change?.name, change?.user ?? 0, change?.group ?? 0, &call)
        guard result == 0 else { throw unsafe notGivenUp(errno, call) }
    }

    /// Gives up all capabilities and ways to get any, and stays whose it is; while there is one thread.
    ///
    /// - Throws: What the kernel says against it.
    static func giveUpAll() throws(FatalError) {
        try forbidDumps()
        var call: UnsafePointer<CChar>?
        guard unsafe clinux_give_up_all(&call) == 0 else { throw unsafe notGivenUp(errno, call) }
    }

    private static func notGivenUp(_ reason: Int32, _ call: UnsafePointer<CChar>?) -> FatalError {
        let name = unsafe call.map { unsafe String(cString: $0) } ?? ""
        return FatalError("privileges not given up: \(SystemError(name, reason))", status: EX_OSERR)
    }

    /// Does something as it will be after `reduce`, to see whether it can be done then.
    package static func whileReduced<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        clinux_set_reduced(1)
        defer { clinux_set_reduced(0) }
        return try body()
    }

    /// How many threads there are (proc_pid_task(5)).
    private static var threadCount: Int {
        guard let folder = unsafe opendir("/proc/self/task") else { return 0 }
        defer { unsafe closedir(folder) }
        var count = 0
        while let entry = unsafe readdir(folder) {
            if unsafe entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
        }
        return count
    }
}
