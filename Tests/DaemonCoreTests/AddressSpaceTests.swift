// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
import Linux
import Testing

@testable import DaemonCore
@testable import Program

@Suite struct AddressSpaceTests {
    static let megabyte: UInt64 = 1 << 20

    @Test(arguments: [(128 * megabyte, 1), (144 * megabyte, 2), (UInt64.max, 64)])
    func isEnough(_ limit: UInt64, _ queues: Int) throws {
        try AddressSpace.check(limit: limit, queues: queues)
    }

    @Test(arguments: [(0, 1), (128 * megabyte - 1, 1), (143 * megabyte, 2), (128 * megabyte, 64)])
    func isTooLittle(_ limit: UInt64, _ queues: Int) {
        let error = #expect(throws: FatalError.self) { try AddressSpace.check(limit: limit, queues: queues) }
        #expect(error?.status == .system)
        #expect(error?.description.contains("\(limit >> 20) MB") == true)
    }

    @Test("What tables may take counts, too") func tables() throws {
        try AddressSpace.check(limit: 228 * Self.megabyte, queues: 1, tables: 100 << 20)
        #expect(throws: FatalError.self) {
            try AddressSpace.check(limit: 228 * Self.megabyte - 1, queues: 1, tables: 100 << 20)
        }
    }
}
