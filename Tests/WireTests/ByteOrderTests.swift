// SPDX-License-Identifier: GPL-2.0-or-later
import Testing
import Wire

@Suite struct ByteOrderTests {
    private static let bytes: [UInt8] = [0xff, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xff]

    @Test func numbersAreReadInNetworkOrder() {
        let (short, long, longest) = (
            Self.bytes.span.uint16(at: 1), Self.bytes.span.uint32(at: 1), Self.bytes.span.uint64(at: 1)
        )
        #expect(short == 0x0123)
        #expect(long == 0x0123_4567)
        #expect(longest == 0x0123_4567_89ab_cdef)
    }

    @Test func numbersAreStoredInNetworkOrderAndNothingElseIs() {
        var bytes = [UInt8](repeating: 0xa5, count: 4)
        var span = bytes.mutableSpan
        span.store(UInt16(0x0123), at: 1)
        #expect(bytes == [0xa5, 0x01, 0x23, 0xa5])

        bytes = [UInt8](repeating: 0xa5, count: 6)
        span = bytes.mutableSpan
        span.store(UInt32(0x0123_4567), at: 1)
        #expect(bytes == [0xa5, 0x01, 0x23, 0x45, 0x67, 0xa5])

        bytes = [UInt8](repeating: 0xa5, count: 10)
        span = bytes.mutableSpan
        span.store(UInt64(0x0123_4567_89ab_cdef), at: 1)
        #expect(bytes == [0xa5, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xa5])
    }
}
