// SPDX-License-Identifier: GPL-2.0-or-later
internal import CSodium
internal import Synchronization

/// All secrets of this process.
public enum KeyMemory {
    /// The length of each secret, by its address.
    static let live = Mutex<[UInt: Int]>([:])

    /// Overwrites all secrets with zeros; to be called at the end of the process, when nothing uses them any longer.
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
