// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import Testing

@Suite struct PortSetTests {
    @Test(
        "It holds what it was given and nothing else",
        arguments: [
            [], [0], [22], [65535], [63, 64], [0, 1, 63, 64, 65, 127, 128, 32767, 32768, 65534, 65535], [22, 22],
        ] as [[UInt16]])
    func contains(_ ports: [UInt16]) {
        let set = PortSet(ports)
        for port in UInt16.min...UInt16.max where set.contains(port) != ports.contains(port) {
            Issue.record("port \(port)")
        }
        #expect(set == PortSet(ports.reversed()))
    }

    @Test func allPorts() {
        let set = PortSet(UInt16.min...UInt16.max)
        #expect((UInt16.min...UInt16.max).allSatisfy { set.contains($0) })
        #expect(set != PortSet([]))
    }
}
