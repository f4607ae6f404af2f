// SPDX-License-Identifier: GPL-2.0-or-later
internal import CSodium

/// Bytes that must not be swapped out, dumped or left behind: guarded and locked memory, wiped when let go.
///
/// The memory never moves and is not written after `init`, so it may be read from any thread.
@safe
final class Secret: @unchecked Sendable {
    private let memory: UnsafeMutableBufferPointer<UInt8>

    /// Allocates `count` bytes and has them filled; afterwards a stray write is a fault instead of a changed key.
    ///
    /// - Throws: What `fill` throws, or `KeyFileError.outOfMemory`.
    init(
        count: Int, fill: (inout MutableSpan<UInt8>) throws(KeyFileError) -> Void
    ) throws(KeyFileError) {
        guard sodium_init() >= 0, let start = unsafe sodium_malloc(count) else { throw .outOfMemory }
        unsafe memory = UnsafeMutableBufferPointer(
            start: start.initializeMemory(as: UInt8.self, repeating: 0, count: count), count: count)
        var span = unsafe memory.mutableSpan
        try fill(&span)
        unsafe sodium_mprotect_readonly(start)
    }

    /// How many bytes there are.
    var count: Int { unsafe memory.count }

    deinit {
        unsafe sodium_free(memory.baseAddress)
    }

    /// Lends the bytes.
    @inline(__always)
    func withBytes<Result, Failure: Error>(_ body: (Span<UInt8>) throws(Failure) -> Result) throws(Failure) -> Result {
        unsafe try body(Span(_unsafeElements: UnsafeBufferPointer(memory)))
    }
}
