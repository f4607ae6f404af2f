// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
package import SystemPackage
internal import Wire

/// The programs at hooks of netfilter (BPF netfilter links, Linux 6.4 and later): the filter
/// (`bpf/syn_code_hook.bpf.c`) drops what a rule with the other program would drop, but before connection tracking and
/// all tables; the gate (`bpf/syn_code_gate.bpf.c`) comes after all tables, and drops what they should have.
///
/// tcpknock-server pins the programs. Who puts in the firewall rules attaches them, so that they come and go with them.
package enum FilterHook {
    /// Where a program is attached.
    enum Place: CaseIterable {
        /// The filter.
        case prerouting
        /// The gate, before the sockets of this host.
        case localIn
        /// The gate, before other hosts.
        case forward

        /// Its number in `enum nf_inet_hooks` (linux/netfilter.h).
        var number: UInt32 {
            switch self {
            case .prerouting: 0
            case .localIn: 1
            case .forward: 2
            }
        }

        /// Where among the others at this hook, the best first.
        ///
        /// At the same place there can be only one program
        /// (EBUSY), so the next ones are for those of other servers on this host.
        var priorities: StrideThrough<Int32> {
            switch self {
            // Right after fragments have been put together (NF_IP_PRI_CONNTRACK_DEFRAG, -400), so that they are judged
            // whole, and before the raw table (NF_IP_PRI_RAW, -300).
            case .prerouting: stride(from: -399, through: -320, by: 1)
            // The last is connection tracking's own.
            case .localIn, .forward: stride(from: .max - 1, through: .max - 80, by: -1)
            }
        }

        /// Its part in the names of links.
        var name: String {
            switch self {
            case .prerouting: ""
            case .localIn: "in-"
            case .forward: "forward-"
            }
        }
    }

    private static let placesOfGate: [Place] = [.localIn, .forward]

    /// Attaches the filter that is pinned in a folder, in this network namespace and for both families; it stays
    /// attached until `detach`, whatever becomes of this process and of the daemon.
    ///
    /// If it is attached already, only the scope changes.
    ///
    /// - Parameters:
    ///   - pinFolder: The folder, of `KernelFilter.pinFolder`.
    ///   - scope: What is protected; all else passes.
    /// - Throws: What the kernel says against it; then it is not attached.
    package static func attach(pinFolder: FilePath, scope: FilterScope) throws(KernelFilterError) {
        let path = PinFolder.hookProgram(in: pinFolder)
        guard let program = try BPFDescriptor.pinned(path),
            let map = try BPFMap<syn_code_scope>(pinned: pinFolder.appending("scope"))
        else { throw .hookMissing(path) }
        try map.write(scope.value())
        try attach(program, at: [.prerouting], pinFolder)
    }

    /// Attaches the gate in the same way: of what is protected, only connections that connection tracking knows as
    /// verified pass, and SYNs that have been through it.
    ///
    /// Call it when the rules are in, which mark connections.
    ///
    /// If it is attached already, only scope and mark change.
    ///
    /// - Parameters:
    ///   - pinFolder: The folder, of `KernelFilter.pinFolder`.
    ///   - scope: What is protected; all else passes.
    ///   - mark: The bit of a connection's mark that says that it is verified.
    /// - Throws: What the kernel says against it; then it is not attached.
    package static func closeGate(pinFolder: FilePath, scope: FilterScope, mark: UInt32) throws(KernelFilterError) {
        try tellGate(pinFolder: pinFolder, scope: scope, mark: mark)
        let path = PinFolder.gateProgram(in: pinFolder)
        guard let program = try BPFDescriptor.pinned(path) else { throw .gateMissing(path) }
        try attach(program, at: placesOfGate, pinFolder)
    }

    /// Tells the gate what to close, whether it is attached or not; as `closeGate`.
    package static func tellGate(pinFolder: FilePath, scope: FilterScope, mark: UInt32) throws(KernelFilterError) {
        guard let map = try BPFMap<syn_code_gate>(pinned: pinFolder.appending("gate")) else {
            throw .gateMissing(PinFolder.gateProgram(in: pinFolder))
        }
        try map.write(syn_code_gate(scope: scope.value(), mark: mark, reserved: 0))
    }

    /// The ports into which the gate lets nobody but who is verified, whatever the firewall rules are.
    ///
    /// - Parameter pinFolder: The folder, of `KernelFilter.pinFolder`.
    /// - Returns: None if it is not attached everywhere.
    /// - Throws: What the kernel says against it.
    package static func closedPorts(pinFolder: FilePath) throws(KernelFilterError) -> [UInt16] {
        let pins = placesOfGate.flatMap { place in
            IPFamily.allCases.map { PinFolder.link(place, $0, in: pinFolder) }
        }
        guard pins.allSatisfy(PinFolder.exists),
            let map = try BPFMap<syn_code_gate>(pinned: pinFolder.appending("gate")),
            let gate = try map.read()
        else { return [] }
        return unsafe withUnsafeBytes(of: gate.scope.ports) { words in
            let words = unsafe words.bindMemory(to: UInt64.self)
            return (UInt16.min...UInt16.max).filter { unsafe words[Int($0 >> 6)] & 1 << UInt64($0 & 63) != 0 }
        }
    }

    /// Takes filter and gate from the hooks; does nothing if they are not there.
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
        guard !PinFolder.exists(pin) else { return }
        for priority in place.priorities {
            let number = link(program.number, place, family, priority)
            if number >= 0 { return try BPFDescriptor(number).pin(pin) }
            guard Glibc.errno == EBUSY else { break }
        }
        throw KernelFilterError(call: "attach the program to the hook of \(family)")
    }

    /// Returns the descriptor of the link; -1 and errno otherwise.
    private static func link(_ program: Int32, _ place: Place, _ family: IPFamily, _ priority: Int32) -> Int32 {
        // NFPROTO_IPV4 and NFPROTO_IPV6 are these numbers, too.
        let number = UInt32(family == .ipv4 ? AF_INET : AF_INET6)
        if place == .prerouting {
            // Connection tracking has fragments put together as well, but stops when another program flushes the rules.
            let flag = UInt32(CBPF_NETFILTER_DEFRAGMENTS)
            let link = cbpf_attach_netfilter(program, number, place.number, priority, flag)
            // Before Linux 6.6 there is no such flag.
            if link >= 0 || Glibc.errno == EBUSY { return link }
        }
        return cbpf_attach_netfilter(program, number, place.number, priority, 0)
    }
}
