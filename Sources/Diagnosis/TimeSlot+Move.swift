// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol

extension TimeSlot {
    /// Returns the slot this many minutes later, or earlier if negative; nil if that is before 1970.
    package func moved(by minutes: Int) -> TimeSlot? {
        let sum =
            minutes < 0
            ? number.subtractingReportingOverflow(UInt64(minutes.magnitude))
            : number.addingReportingOverflow(UInt64(minutes.magnitude))
        return sum.overflow ? nil : TimeSlot(number: sum.partialValue)
    }
}
