// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing

@testable import KnockProtocol

@Suite("All keys at once") struct KeyMemoryTests {
    @Test("At the end nothing is left of them") func wipe() async {
        // A process of its own: the keys of the others here are still needed.
        await #expect(processExitsWith: .success) {
            let keys = TestKeys.published
            let before = keys.fingerprint
            let secret = Secret(count: 100) { bytes in
                for index in bytes.indices { bytes[index] = 0xaa }
            }
            KeyMemory.wipe()
            let isZero = secret?.withBytes { bytes in bytes.indices.allSatisfy { bytes[$0] == 0 } }
            guard isZero == true, before.contains(where: { $0 != "0" && $0 != "-" }),
                keys.fingerprint.allSatisfy({ $0 == "0" || $0 == "-" })
            else { fatalError("something is left") }
        }
    }
}
