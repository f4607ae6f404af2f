// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import Linux
package import SystemPackage
internal import Wire

/// The programs at netfilter hooks (BPF netfilter links, Linux 6.4 and later).
///
/// The filter (`bpf/syn_code_hook.bpf.c`) drops what a rule with the other program would drop, but before connection
/// tracking and all tables. The gate (`bpf/syn_code_gate.bpf.c`) runs after all tables, and drops what they should have
/// dropped.
///
/// tcpknock-server pins the programs. Whatever installs the firewall rules attaches them, so that they come and go
/// together with the rules.
package enum FilterHook {
    /// A hook at which a program is attached.
    enum Place: CaseIterable {
        /// The filter.
        case prerouting
        /// The gate, for packets to sockets of this host.
        case localIn
        /// The gate, for packets to other hosts.
        case forward

        /// The number of the hook in `enum nf_inet_hooks` (linux/netfilter.h).
        var number: UInt32 {
            switch self {
            case .prerouting: 0
            case .localIn: 1
            case .forward: 2
            }
        }

        /// The priorities to try at this hook, the best first.
        ///
        /// Only one program can be attached at each priority (EBUSY), so the others are for other servers on this host.
        var priorities: StrideThrough<Int32> {
            switch self {
            // Right after reassembly of fragments (NF_IP_PRI_CONNTRACK_DEFRAG, -400), so that packets are judged whole,
            // and before the raw table (NF_IP_PRI_RAW, -300).
            case .prerouting: stride(from: -399, through: -320, by: 1)
            // The very last priority is used by connection tracking.
            case .localIn, .forward: stride(from: .max - 1, through: .max - 80, by: -1)
            }
        }

        /// The hook's part in the names of links.
        var name: String {
            switch self {
            case .prerouting: ""
            case .localIn: "in-"
            case .forward: "forward-"
            }
        }
    }

    private static let placesOfGate: [Place] = [.localIn, .forward]

    /// Attaches the filter pinned in a folder, in this network namespace and for both families.
    ///
    /// It stays attached until `detach`, even after this process and the daemon have ended. If it is attached already,
    /// only the scope is changed.
    ///
    /// - Parameters:
    ///   - pinFolder: A folder returned by `KernelFilter.pinFolder`.
    ///   - scope: The protected traffic; everything else passes.
    /// - Throws: `KernelFilterError`; the filter is not attached then.
    package static func attach(pinFolder: FilePath, scope: FilterScope) throws(KernelFilterError) {
        let path = PinFolder.hookProgram(in: pinFolder)
        guard let program = try BPFDescriptor.pinned(path),
            let map = try BPFMap<syn_code_scope>(pinned: pinFolder.appending("scope"))
        else { throw .hookMissing(path) }
        try map.write(scope.value())
        try attach(program, at: [.prerouting], pinFolder)
    }

    /// Attaches the gate in the same way.
    ///
    /// Of the protected traffic, only connections that connection tracking knows as verified pass, and SYNs that have
    /// passed connection tracking. To be called once the rules that mark connections are in place. If the gate is
    /// attached already, only scope and mark are changed.
    ///
    /// - Parameters:
    ///   - pinFolder: A folder returned by `KernelFilter.pinFolder`.
    ///   - scope: The protected traffic; everything else passes.
    ///   - mark: The connection mark bit that means "verified".
    /// - Throws: `KernelFilterError`; the gate is not attached then.
    package static func closeGate(pinFolder: FilePath, scope: FilterScope, mark: UInt32) throws(KernelFilterError) {
        try tellGate(pinFolder: pinFolder, scope: scope, mark: mark)
        let path = PinFolder.gateProgram(in: pinFolder)
        guard let program = try BPFDescriptor.pinned(path) else { throw .gateMissing(path) }
        try attach(program, at: placesOfGate, pinFolder)
    }

    /// Sets the gate's scope and mark, as `closeGate` does, whether it is attached or not.
    package static func tellGate(pinFolder: FilePath, scope: FilterScope, mark: UInt32) throws(KernelFilterError) {
        guard let map = try BPFMap<syn_code_gate>(pinned: pinFolder.appending("gate")) else {
            throw .gateMissing(PinFolder.gateProgram(in: pinFolder))
        }
        try map.write(syn_code_gate(scope: scope.value(), mark: mark, reserved: 0))
    }

    /// Returns the ports that the gate keeps closed to all but verified connections, whatever the firewall rules are.
    ///
    /// - Parameter pinFolder: A folder returned by `KernelFilter.pinFolder`.
    /// - Returns: The ports; none unless the gate is attached at all its hooks.
    /// - Throws: `KernelFilterError` from the kernel.
    package static func closedPorts(pinFolder: FilePath) throws(KernelFilterError) -> [UInt16] {
        let pins = placesOfGate.flatMap { place in
            IPFamily.allCases.map { PinFolder.link(place, $0, in: pinFolder) }
        }
        guard pins.allSatisfy(\.exists),
            let map = try BPFMap<syn_code_gate>(pinned: pinFolder.appending("gate")),
            let gate = try map.read()
        else { return [] }
        return unsafe withUnsafeBytes(of: gate.scope.ports) { words in
            let words = unsafe words.bindMemory(to: UInt64.self)
            return (UInt16.min...UInt16.max).filter { unsafe words[Int($0 >> 6)] & 1 << UInt64($0 & 63) != 0 }
        }
    }

    /// Detaches filter and gate from their hooks; does nothing if they are not attached.
    package static func detach(pinFolder: FilePath) throws(KernelFilterError) {
        for place in Place.allCases { try PinFolder.detach(place, in: pinFolder) }
    }

    private static func attach(
        _ program: borrowing BPFDescriptor, at places: [Place], _ pinFolder: FilePath
    ) throws(KernelFilterError) {
        do throws(KernelFilterError) {
            for place in places {
                for family in IPFamily.allCases { try attach(program, place, family, pinFolder) }
            }
        } catch {
            for place in places { try? PinFolder.detach(place, in: pinFolder) }
            throw error
        }
    }

    private static func attach(
        _ program: borrowing BPFDescriptor, _ place: Place, _ family: IPFamily, _ pinFolder: FilePath
    ) throws(KernelFilterError) {
        let pin = PinFolder.link(place, family, in: pinFolder)
        guard !pin.exists else { return }
        for priority in place.priorities {
            let number = link(program.number, place, family, priority)
            if number >= 0 { return try BPFDescriptor(number).pin(pin) }
            guard Glibc.errno == EBUSY else { break }
        }
        throw KernelFilterError(call: "attach the program to the hook of \(family)")
    }

    /// Returns the descriptor of a new link; or -1 with `errno` set.
    private static func link(_ program: Int32, _ place: Place, _ family: IPFamily, _ priority: Int32) -> Int32 {
        // NFPROTO_IPV4 and NFPROTO_IPV6 have the same values.
        let number = UInt32(family == .ipv4 ? AF_INET : AF_INET6)
        if place == .prerouting {
            // Connection tracking causes reassembly too, but it stops when another program flushes the rules.
            let flag = UInt32(CBPF_NETFILTER_DEFRAGMENTS)
            let link = cbpf_attach_netfilter(program, number, place.number, priority, flag)
            // This flag does not exist before Linux 6.6.
            if link >= 0 || Glibc.errno == EBUSY { return link }
        }
        return cbpf_attach_netfilter(program, number, place.number, priority, 0)
    }
}
