// SPDX-License-Identifier: GPL-2.0-or-later
internal import CPcap
internal import Glibc
internal import Linux

/// A filter of the incoming segments that the kernel lets a TCP socket see (socket(7), SO_ATTACH_FILTER).
///
/// It treats the others as lost.
///
/// The filter programs see a segment from its TCP header on.
enum SocketFilter {
    /// No segment: the kernel does not even answer them with a RST.
    case none
    /// Segments without SYN, so that no SYN/ACK is acknowledged.
    case withoutSYN
    /// Segments without SYN, and those with SYN and this sequence number.
    case only(serverISN: UInt32)
    /// All segments.
    case all

    /// Accepts the whole segment.
    private static let take = instruction(BPF_RET | BPF_K, 0xffff_ffff)
    private static let leave = instruction(BPF_RET | BPF_K, 0)

    private var program: [bpf_insn] {
        switch self {
        case .none: [Self.leave]
        case .all: [Self.take]
        case .withoutSYN:
            [
                Self.instruction(BPF_LD | BPF_B | BPF_ABS, 13),
                Self.instruction(BPF_JMP | BPF_JSET | BPF_K, 0x02, ifTrue: 1), Self.take, Self.leave,
            ]
        case .only(let serverISN):
            [
                Self.instruction(BPF_LD | BPF_B | BPF_ABS, 13),
                Self.instruction(BPF_JMP | BPF_JSET | BPF_K, 0x02, ifTrue: 1), Self.take,
                Self.instruction(BPF_LD | BPF_W | BPF_ABS, 4),
                Self.instruction(BPF_JMP | BPF_JEQ | BPF_K, serverISN, ifTrue: 1), Self.leave, Self.take,
            ]
        }
    }

    private static func instruction(_ code: Int32, _ value: UInt32, ifTrue: UInt8 = 0) -> bpf_insn {
        bpf_insn(code: UInt16(truncatingIfNeeded: code), jt: ifTrue, jf: 0, k: value)
    }

    /// Attaches the filter to a socket, replacing any earlier one.
    func attach(to socket: Int32) throws(FatalError) {
        let program = program
        let result = unsafe program.withUnsafeBufferPointer { instructions in
            unsafe cpcap_attach_filter(socket, instructions.baseAddress, UInt16(instructions.count))
        }
        guard result == 0 else { throw FatalError.ofCall("socket filter") }
    }
}
