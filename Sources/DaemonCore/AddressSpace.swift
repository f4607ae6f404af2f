// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
package import Program

/// The addresses that a process may use (RLIMIT_AS of getrlimit(2); `ulimit -v`).
package enum AddressSpace {
    /// What a daemon with one queue uses, in bytes: code, tables, and above all the stacks and heaps of its threads.
    private static let forOneQueue: UInt64 = 128 << 20
    /// What each further queue uses.
    private static let forAnotherQueue: UInt64 = 16 << 20

    /// Checks that there is room for a daemon with so many queues.
    ///
    /// Without this, a daemon that gets no thread for its queue waits for one without a word.
    ///
    /// - Parameters:
    ///   - queues: How many.
    ///   - tables: What tables may take later, in bytes.
    /// - Throws: How much there is and how much it takes, with status 71, if it is too little.
    package static func check(queues: Int, tables: Int = 0) throws(FatalError) {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 else { return }
        try check(limit: UInt64(limit.rlim_cur), queues: queues, tables: tables)
        // Each thread's heap would be 64 MB of addresses, and take those that the next thread's stack needs.
        if limit.rlim_cur != rlim_t.max { clinux_share_heap() }
    }

    /// Checks a limit in bytes.
    static func check(limit: UInt64, queues: Int, tables: Int = 0) throws(FatalError) {
        let needed = forOneQueue + forAnotherQueue * UInt64(max(0, queues - 1)) + UInt64(tables)
        guard limit < needed else { return }
        throw FatalError(
            "the limit of address space (ulimit -v, LimitAS= of systemd) is \(limit >> 20) MB, and this takes "
                + "\(needed >> 20) MB; raise it, or limit the memory in use instead (MemoryMax= of systemd)",
            status: EX_OSERR)
    }
}
