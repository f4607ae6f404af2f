// SPDX-License-Identifier: GPL-2.0-or-later
internal import CSodium
internal import Synchronization

/// Bytes that must not be swapped out, dumped or left behind: guarded and locked memory, wiped when let go.
///
/// The memory never moves and is not written after `init`, so it may be read from any thread.
@safe
package final class Secret: @unchecked Sendable {
    private let memory: UnsafeMutableBufferPointer<UInt8>

    /// Allocates `count` bytes and has them filled; afterwards a stray write is a fault instead of a changed key.
    ///
    /// It is nil if there is no locked memory.
    ///
    /// - Throws: What `fill` throws.
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

    /// How many bytes there are.
    package var count: Int { unsafe memory.count }

    deinit {
        let place = unsafe UInt(bitPattern: memory.baseAddress)
        KeyMemory.live.withLock { _ = $0.removeValue(forKey: place) }
        unsafe sodium_free(memory.baseAddress)
    }

    /// Lends the bytes.
    @inline(__always)
    package func withBytes<Result, Failure: Error>(_ body: (Span<UInt8>) throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        unsafe try body(Span(_unsafeElements: UnsafeBufferPointer(memory)))
    }
}

/// All secrets of this process.
public enum KeyMemory {
    /// How long each secret is, by its address.
    fileprivate static let live = Mutex<[UInt: Int]>([:])

    /// Overwrites all secrets with zeros, at the end of the process, when nobody uses them any longer.
    public static func wipe() {
        live.withLock { live in
            for (place, length) in live {
                guard let start = unsafe UnsafeMutableRawPointer(bitPattern: place) else { continue }
                unsafe sodium_mprotect_readwrite(start)
                unsafe sodium_memzero(start, length)
            }
        }
    }
}
