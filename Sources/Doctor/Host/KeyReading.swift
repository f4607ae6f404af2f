// SPDX-License-Identifier: GPL-2.0-or-later

/// The result of reading a key file.
package enum KeyReading: Equatable, Sendable {
    /// The file is good; this is the key's fingerprint.
    case good(String)
    /// The file is not good: what is wrong, and what to do.
    case bad(found: String, cure: String)
    /// The file belongs to this user id, which is not one of the permitted owners.
    case foreign(UInt32)
    /// This user may not read the file.
    case refused
}
