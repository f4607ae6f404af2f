// SPDX-License-Identifier: GPL-2.0-or-later

extension SharedState {
    /// A piece of state that the next process must know.
    public enum Entry: Equatable, Sendable {
        /// A code was used, and is remembered until a deadline in milliseconds of uptime.
        case usedCode(UsedCode, deadline: UInt64)
        /// Codes of these slots were used.
        case slots(SlotSpan)
        /// A guest or an address is locked out, or its lockout has just ended.
        case lockout(Lockout.Subject, Lockout)

        /// When the entry expires, in milliseconds of uptime.
        var end: UInt64 {
            switch self {
            case .usedCode(_, let deadline): deadline
            case .slots: 0
            case .lockout(_, let lockout): lockout.until
            }
        }
    }
}
