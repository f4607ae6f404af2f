// SPDX-License-Identifier: GPL-2.0-or-later
@testable import KernelFilter

extension KernelFilter {
    /// Returns whether the gate, once closed, would drop a packet of no connection; nil if there is no gate.
    ///
    /// - Parameter packet: A packet that starts with its IP header; the kernel rejects fewer than 20 bytes.
    /// - Returns: Whether it would be dropped; nil if there is no gate.
    /// - Throws: `KernelFilterError` from the kernel.
    func gateDrops(_ packet: [UInt8]) throws(KernelFilterError) -> Bool? {
        guard let program = try BPFDescriptor.pinned(PinFolder.gateProgram(in: pinFolder)) else { return nil }
        return try program.run(on: packet) == 0
    }
}
