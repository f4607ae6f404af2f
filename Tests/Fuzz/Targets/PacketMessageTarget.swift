// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter

@testable import Netfilter

/// A message about a queued packet: what is found in it lies in it.
enum PacketMessageTarget {
    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        let headers = MemoryLayout<nlmsghdr>.size + MemoryLayout<nfgenmsg>.size
        // Aligned as the receive buffer is, and not a byte longer than the message.
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(headers, input.count), alignment: MemoryLayout<UInt32>.alignment)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        memory.copyBytes(from: input)
        guard let start = memory.baseAddress else { return }
        let message = start.assumingMemoryBound(to: nlmsghdr.self)
        // Whoever receives it has compared this with what was received.
        message.pointee.nlmsg_len = UInt32(memory.count)
        guard let packet = PacketMessage(message) else { return }
        guard let payload = packet.payload.baseAddress else { return try hold(packet.payload.isEmpty, "no payload") }
        let offset = UnsafeRawPointer(payload) - UnsafeRawPointer(start)
        try hold(offset >= headers + 4 && offset + packet.payload.count <= memory.count, "the payload lies elsewhere")
        try hold(packet.payload.elementsEqual(memory[offset..<offset + packet.payload.count]), "another payload")
    }
}
