// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
package import SystemPackage
internal import Wire

/// The program at a hook of netfilter (`bpf/syn_code_hook.bpf.c`; BPF netfilter links, Linux 6.4 and later): it drops
/// what a rule with the other program would drop, but before connection tracking and all tables.
///
/// tcpknock-server pins the program. Who puts in the firewall rules attaches it, so that it comes and goes with them.
package enum FilterHook {
    /// NF_INET_PRE_ROUTING of `enum nf_inet_hooks` (linux/netfilter.h).
    private static let prerouting: UInt32 = 0
    /// Before fragments are put together (NF_IP_PRI_CONNTRACK_DEFRAG, -400): a fragment is not read, and is judged when
    /// it comes out of the queue.
    private static let priority: Int32 = -450

    /// Attaches the program that is pinned in a folder, in this network namespace and for both families; it stays
    /// attached until `detach`, whatever becomes of this process and of the daemon.
    ///
    /// If it is attached already, only the ports change.
    ///
    /// - Parameters:
    ///   - pinFolder: The folder, of `KernelFilter.pinFolder`.
    ///   - ports: The protected ports; what goes to others passes.
    /// - Throws: What the kernel says against it; then it is not attached.
    package static func attach(pinFolder: FilePath, ports: [UInt16]) throws(KernelFilterError) {
        let path = PinFolder.hookProgram(in: pinFolder)
        guard let program = try BPFDescriptor.pinned(path),
            let map = try BPFMap<syn_code_ports>(pinned: pinFolder.appending("ports"))
        else { throw .hookMissing(path) }
        try map.write(bits(of: ports))
        do throws(KernelFilterError) {
            for family in IPFamily.allCases { try attach(program, family, PinFolder.link(family, in: pinFolder)) }
        } catch {
            try? detach(pinFolder: pinFolder)
            throw error
        }
    }

    /// Takes the program from the hook; does nothing if it is not there.
    package static func detach(pinFolder: FilePath) throws(KernelFilterError) {
        for family in IPFamily.allCases { try PinFolder.unpin(PinFolder.link(family, in: pinFolder)) }
    }

    private static func attach(
        _ program: borrowing BPFDescriptor, _ family: IPFamily, _ pin: FilePath
    ) throws(KernelFilterError) {
        guard !PinFolder.exists(pin) else { return }
        // NFPROTO_IPV4 and NFPROTO_IPV6 are these numbers, too.
        let number = cbpf_attach_netfilter(
            program.number, UInt32(family == .ipv4 ? AF_INET : AF_INET6), prerouting, priority)
        guard number >= 0 else { throw KernelFilterError(call: "attach the program to the hook of \(family)") }
        try BPFDescriptor(number).pin(pin)
    }

    private static func bits(of ports: [UInt16]) -> syn_code_ports {
        var value = syn_code_ports()
        unsafe withUnsafeMutableBytes(of: &value.words) { words in
            let words = unsafe words.bindMemory(to: UInt64.self)
            for port in ports { unsafe words[Int(port >> 6)] |= 1 << UInt64(port & 63) }
        }
        return value
    }
}
