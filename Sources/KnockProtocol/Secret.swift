// SPDX-License-Identifier: GPL-2.0-or-later
internal import CSodium
internal import Synchronization

/// Secret bytes in guarded, locked memory that is not swapped out or dumped, and is wiped when freed.
///
/// The memory never moves and is not written after `init`, so it can be read from any thread.
@safe
package final class Secret: @unchecked Sendable {
    private let memory: UnsafeMutableBufferPointer<UInt8>

    /// Allocates `count` bytes, fills them and makes them read-only, so that a stray write faults.
    ///
    /// Returns nil if no locked memory is available.
    ///
    /// - Parameters:
    ///   - count: The number of bytes.
    ///   - fill: Fills the bytes, which are zero at first.
    /// - Throws: The error that `fill` throws.
    package init?<Failure: Error>(
        count: Int, fill: (inout MutableSpan<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        guard sodium_init() >= 0, let start = unsafe sodium_malloc(count) else { return nil }
        unsafe memory = UnsafeMutableBufferPointer(
            start: start.initializeMemory(as: UInt8.self, repeating: 0, count: count), count: count)
        var span = unsafe memory.mutableSpan
        try fill(&span)
        unsafe sodium_mprotect_readonly(start)
        let (place, length) = (UInt(bitPattern: start), count)
        KeyMemory.live.withLock { $0[place] = length }
    }

    /// The number of bytes.
    package var count: Int { unsafe memory.count }

    deinit {
        let place = unsafe UInt(bitPattern: memory.baseAddress)
        KeyMemory.live.withLock { _ = $0.removeValue(forKey: place) }
        unsafe sodium_free(memory.baseAddress)
    }

    /// Passes the bytes to `body`.
    @inline(__always)
    package func withBytes<Result, Failure: Error>(_ body: (Span<UInt8>) throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        unsafe try body(Span(_unsafeElements: UnsafeBufferPointer(memory)))
    }
}
