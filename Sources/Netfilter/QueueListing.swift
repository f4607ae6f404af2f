// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux
package import SystemPackage

/// The kernel's list of queues, kept open because this process may later lose the permission to open it.
public final class QueueListing: Sendable {
    /// The file of the list.
    package static let path: FilePath = "/proc/net/netfilter/nfnetlink_queue"

    private let file: FileDescriptor?

    /// Opens the list for the calling thread's network namespace.
    public init() {
        file = try? FileDescriptor.open(Self.path, .readOnly, options: .closeOnExec)
    }

    deinit {
        try? file?.close()
    }

    /// Reads the current state of all queues; empty if this process lacks permission.
    public func all() -> [QueueStatistics] {
        // The limit is 65,536 queues of at most 80 bytes each. Reading from offset 0 makes the kernel list them anew.
        guard let text = try? file?.content(limit: 8 << 20) else { return [] }
        return QueueStatistics.parse(String(decoding: text, as: UTF8.self))
    }
}
