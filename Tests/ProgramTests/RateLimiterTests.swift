// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Program

@Suite struct RateLimiterTests {
    @Test func soManyPassEachSecond() {
        var limiter = RateLimiter(perSecond: 3)
        let first = (0..<5).map { _ in limiter.pass(at: 10_000) }
        #expect(first == [0, 0, 0, nil, nil])
        #expect(limiter.pass(at: 10_999) == nil)
        // The first of the next second tells of those held back, and only it.
        #expect(limiter.pass(at: 11_000) == 3)
        #expect(limiter.pass(at: 11_000) == 0)
    }

    @Test func theFirstSecondOfAllIsLikeAnyOther() {
        var limiter = RateLimiter(perSecond: 1)
        #expect(limiter.pass(at: 0) == 0)
        #expect(limiter.pass(at: 999) == nil)
        #expect(limiter.pass(at: 1000) == 1)
    }

    @Test func heldBackAddUpOverSeconds() {
        var limiter = RateLimiter(perSecond: 0)
        for second in UInt64(0)..<5 { #expect(limiter.pass(at: second * 1000) == nil) }
    }
}
