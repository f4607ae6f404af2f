// SPDX-License-Identifier: GPL-2.0-or-later
import Foundation
import Testing

@testable import Linux

@Suite struct SystemClockTests {
    @Test func timestampsAreOfRFC3339() throws {
        let before = Date()
        let text = SystemClock.timestamp()
        #expect(text.wholeMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/#) != nil)
        let time = try Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        // The text has whole milliseconds.
        #expect(time.timeIntervalSince(before) > -0.002)
        #expect(time.timeIntervalSince(Date()) < 0.001)
    }

    @Test func clocksAreThoseOfTheHost() {
        let before = Int64(Date().timeIntervalSince1970)
        let (unixSeconds, first) = (SystemClock.unixSeconds, SystemClock.uptime)
        #expect((before...Int64(Date().timeIntervalSince1970)).contains(unixSeconds))
        #expect(first > 0)
        #expect(SystemClock.uptime >= first)
    }
}
