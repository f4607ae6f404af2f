// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Waits until a condition holds, checking every 10 ms.
///
/// - Returns: Whether it held within the given number of seconds.
package func eventually(within seconds: Int = 20, _ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<seconds * 100 {
        if try condition() { return true }
        usleep(10_000)
    }
    return try condition()
}
