// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
package import Linux

/// The address space available to the process (RLIMIT_AS of getrlimit(2); `ulimit -v`).
package enum AddressSpace {
    /// The address space that a daemon with one queue uses, in bytes: code, tables, and most of all thread stacks and
    /// heaps.
    private static let forOneQueue: UInt64 = 128 << 20
    /// The address space that each further queue uses, in bytes.
    private static let forAnotherQueue: UInt64 = 16 << 20

    /// Checks that there is enough address space for a daemon with this many queues.
    ///
    /// Without this check, a daemon that cannot create the thread for its queue would wait silently.
    ///
    /// - Parameters:
    ///   - queues: The number of queues.
    ///   - tables: The size that the tables may reach later, in bytes.
    /// - Throws: `FatalError` with `ExitStatus.system` and both sizes, if there is too little.
    package static func check(queues: Int, tables: Int = 0) throws(FatalError) {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 else { return }
        try check(limit: UInt64(limit.rlim_cur), queues: queues, tables: tables)
        // Each thread would reserve 64 MB of addresses for its own heap, which the next thread's stack needs.
        if limit.rlim_cur != rlim_t.max { clinux_share_heap() }
    }

    /// Checks a limit, in bytes.
    static func check(limit: UInt64, queues: Int, tables: Int = 0) throws(FatalError) {
        let needed = forOneQueue + forAnotherQueue * UInt64(max(0, queues - 1)) + UInt64(tables)
        guard limit < needed else { return }
        throw FatalError(
            "the limit of address space (ulimit -v, LimitAS= of systemd) is \(limit >> 20) MB, and this takes "
                + "\(needed >> 20) MB",
            cure: "raise it, or limit the memory in use instead (MemoryMax= of systemd)", status: .system)
    }
}
