// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import KnockProtocol
internal import Linux
package import SystemPackage
internal import Wire

/// The kernel program that recognizes SYNs with a wrong code, so that they are dropped before they are queued.
///
/// There is one program for the firewall rules (`bpf/syn_code.bpf.c`), and one for a netfilter hook if the kernel
/// supports that (`FilterHook`).
///
/// Program and maps are pinned in a folder. The rules find the program there and keep a reference to it, even after
/// this process has ended, so a daemon that is restarted takes over what is pinned. Not thread-safe.
@safe
package final class KernelFilter {
    /// The maximum number of keys.
    package static let maximumKeys = Int(SYN_CODE_MAXIMUM_KEYS)

    /// The origin of the program and its maps.
    package enum Origin: Equatable, Sendable {
        /// They were newly loaded; none were pinned.
        case loaded
        /// They were pinned by an earlier run, and are the ones that existing rules use.
        case takenOver
        /// Those of another version were pinned, and have been switched off.
        ///
        /// Rules that use the old program pass every SYN to the queue until `server.sh up` installs the new one.
        case replaced
    }

    /// The origin of the program and its maps.
    package let origin: Origin
    /// The folder in which they are pinned.
    package let pinFolder: FilePath

    private let program: BPFDescriptor
    private let hookProgram: BPFDescriptor?
    private let controlMap: BPFMap<syn_code_control>
    private let keysMap: BPFMap<syn_code_keys>
    private let countersMap: BPFMap<syn_code_counters>

    /// Why there is no hook program, and so no gate; nil if there is one, or if everything was loaded by another run.
    package let hookObstacle: KernelFilterError?
    /// Why there is no gate program, although the kernel accepted the hook program.
    package private(set) var gateObstacle: KernelFilterError?

    private var ownAddresses: OwnAddressMap?
    private var control = syn_code_control()
    /// The `keys` entry that is no longer in use, but may still have been read a moment ago.
    private var staleEntry: UInt32?
    /// What the program has counted before this run or in its self-test; subtracted from the counters.
    private var uncounted = Counters()

    /// Loads and pins the program, or takes over the same program if it is pinned already.
    ///
    /// A new program passes everything until `update` gives it keys; one that is taken over keeps its keys. The queue
    /// must be bound first: only the process that holds the queue may write here.
    ///
    /// - Parameters:
    ///   - object: The compiled program (`locateObject`).
    ///   - pinFolder: A folder on a BPF file system; created if missing.
    /// - Returns: The pinned filter.
    /// - Throws: `KernelFilterError` if the program cannot be loaded or pinned.
    package static func load(
        object: FilePath, pinFolder: FilePath
    ) throws(KernelFilterError) -> KernelFilter {
        // libbpf would print to standard error. Why the verifier rejects a program is in the error.
        unsafe libbpf_set_print(nil)
        let folder = object.removingLastComponent()
        let hookObject = folder.appending(hookObjectName)
        let gateObject = folder.appending(gateObjectName)
        // The hook and gate programs may be missing.
        let version = try version(of: [object] + [hookObject, gateObject].filter { $0.exists })
        try PinFolder.make(pinFolder)
        var origin = Origin.loaded
        if let program = try BPFDescriptor.pinned(PinFolder.program(in: pinFolder)) {
            if let filter = try takeOver(program, pinFolder, version: version) {
                filter.loadGate(gateObject)
                return filter
            }
            try switchOff(pinFolder: pinFolder)
            origin = .replaced
        }
        // This also removes what a run has left that was killed while pinning.
        try PinFolder.clear(pinFolder)
        let loaded = try BPFObject(path: object)
        let controlMap = BPFMap<syn_code_control>(try loaded.map("control"))
        let keysMap = BPFMap<syn_code_keys>(try loaded.map("keys"))
        let countersMap = BPFMap<syn_code_counters>(try loaded.map("counters"))
        let maps = [("control", controlMap.number), ("keys", keysMap.number), ("counters", countersMap.number)]
        // The hook program needs a newer kernel than the first.
        let (hook, hookObstacle) = loadHook(hookObject, sharing: maps)
        let filter = KernelFilter(
            origin: origin, pinFolder: pinFolder, program: try loaded.program("syn_code"),
            hookProgram: try hook?.program("syn_code_hook"), hookObstacle: hookObstacle,
            controlMap: controlMap, keysMap: keysMap, countersMap: countersMap)
        filter.control.version = version
        try filter.controlMap.write(filter.control)
        try filter.pinMaps()
        if let hook {
            try filter.pin(hook)
            filter.loadGate(gateObject)
        }
        try filter.pinProgram()
        return filter
    }

    private static func loadHook(
        _ path: FilePath, sharing maps: [(name: String, descriptor: Int32)]
    ) -> (BPFObject?, KernelFilterError?) {
        do throws(KernelFilterError) {
            return (try BPFObject(path: path, hook: "syn_code_hook", sharing: maps), nil)
        } catch .refused(let errno, let lines) where lines.isEmpty {
            // The verifier did not even start.
            return (nil, .hooksUnknown(errno))
        } catch {
            return (nil, error)
        }
    }

    private static func takeOver(
        _ program: consuming BPFDescriptor, _ folder: FilePath, version: UInt64
    ) throws(KernelFilterError) -> KernelFilter? {
        // A map of another version may have longer values than ours, and reading it would overflow the buffer.
        guard let control = try BPFMap<syn_code_control>(pinned: folder.appending("control")),
            let value = try control.read(), value.version == version,
            let keys = try BPFMap<syn_code_keys>(pinned: folder.appending("keys")),
            let counters = try BPFMap<syn_code_counters>(pinned: folder.appending("counters"))
        else { return nil }
        let hook = try BPFDescriptor.pinned(PinFolder.hookProgram(in: folder))
        let filter = KernelFilter(
            origin: .takenOver, pinFolder: folder, program: program, hookProgram: hook, hookObstacle: nil,
            controlMap: control, keysMap: keys, countersMap: counters)
        filter.control = value
        filter.uncounted = try filter.counters()
        return filter
    }

    private init(
        origin: Origin, pinFolder: FilePath, program: consuming BPFDescriptor,
        hookProgram: consuming BPFDescriptor?, hookObstacle: KernelFilterError?,
        controlMap: consuming BPFMap<syn_code_control>, keysMap: consuming BPFMap<syn_code_keys>,
        countersMap: consuming BPFMap<syn_code_counters>
    ) {
        self.origin = origin
        self.pinFolder = pinFolder
        self.program = program
        self.hookProgram = hookProgram
        self.hookObstacle = hookObstacle
        self.controlMap = controlMap
        self.keysMap = keysMap
        self.countersMap = countersMap
    }

    private func pin(_ hook: BPFObject) throws(KernelFilterError) {
        do throws(KernelFilterError) {
            try hook.map("scope").pin(pinFolder.appending("scope"))
            try hook.map("own").pin(pinFolder.appending("own"))
            try hook.program("syn_code_hook").pin(PinFolder.hookProgram(in: pinFolder))
        } catch {
            remove()
            throw error
        }
    }

    /// Loads and pins the gate program, if there is a hook program and it is not pinned yet.
    ///
    /// Without it, the filter still works.
    private func loadGate(_ object: FilePath) {
        guard hookProgram != nil, !PinFolder.gateProgram(in: pinFolder).exists else { return }
        do throws(KernelFilterError) {
            let gate = try BPFObject(path: object, hook: "syn_code_gate", sharing: [("control", controlMap.number)])
            try PinFolder.unpin(pinFolder.appending("gate"))
            try gate.map("gate").pin(pinFolder.appending("gate"))
            try gate.program("syn_code_gate").pin(PinFolder.gateProgram(in: pinFolder))
        } catch {
            gateObstacle = error
        }
    }

    private func pinMaps() throws(KernelFilterError) {
        do throws(KernelFilterError) {
            try controlMap.pin(pinFolder.appending("control"))
            try keysMap.pin(pinFolder.appending("keys"))
            try countersMap.pin(pinFolder.appending("counters"))
        } catch {
            remove()
            throw error
        }
    }

    /// Pins the program; done last, so that wherever the program is pinned, everything is.
    private func pinProgram() throws(KernelFilterError) {
        do throws(KernelFilterError) {
            try program.pin(PinFolder.program(in: pinFolder))
        } catch {
            remove()
            throw error
        }
    }

    // MARK: Keys and time

    /// Gives the program new keys and the time, and tests it; packets see either the old keys or the new.
    ///
    /// - Parameters:
    ///   - keys: The keys that are valid from now on; if empty, everything passes.
    ///   - usesTime: Whether codes depend on the time.
    ///   - clock: The current time.
    ///   - acceptsData: Whether the gate lets SYNs with data pass.
    /// - Throws: `tooManyKeys`, `wrongAnswer`, or an error from the kernel. After any error the program is switched
    ///   off.
    package func update(
        keys: [FilterKey], usesTime: Bool, clock: FilterClock, acceptsData: Bool = false
    ) throws(KernelFilterError) {
        do throws(KernelFilterError) {
            guard keys.count <= Self.maximumKeys else { throw .tooManyKeys(keys.count) }
            let old = control.active
            control.active = old == 1 ? 2 : 1
            control.wall_clock_offset = clock.offset
            control.refuses_data = acceptsData ? 0 : 1
            try write(keys, usesTime: usesTime, entry: control.active - 1)
            try controlMap.write(control)
            staleEntry = old == 0 ? nil : old - 1
            let slot = usesTime ? clock.slot : .timeless
            for key in keys { try examine(key, isBound: true, slot) }
            for key in keys where key.isRoaming { try examine(key, isBound: false, slot) }
        } catch {
            disarm()
            throw error
        }
    }

    /// Updates the list of this host's addresses, for a `FilterScope` with `own`; to be called about once a second.
    package func refreshOwnAddresses() throws(KernelFilterError) {
        // Without the hook program, there is no map for them, and later perhaps no permission to look for one.
        guard hookProgram != nil else { return }
        if ownAddresses == nil { ownAddresses = try OwnAddressMap(pinFolder: pinFolder) }
        try ownAddresses?.refresh()
    }

    /// Updates the time; to be called about once a second, and after the clock was set.
    package func refreshClock(_ clock: FilterClock) throws(KernelFilterError) {
        control.wall_clock_offset = clock.offset
        try controlMap.write(control)
        if let entry = staleEntry {
            try keysMap.write(syn_code_keys(), at: entry)
            staleEntry = nil
        }
    }

    /// Removes the keys from the kernel: every SYN with a code then passes to the queue.
    ///
    /// For an orderly end of the daemon: no key stays behind, and with nobody listening on the queue, nobody gets in
    /// anyway. The program stays pinned, because iptables-legacy opens it again whenever anyone changes the table with
    /// the rule.
    package func disarm() {
        control.active = 0
        staleEntry = nil
        try? controlMap.write(control)
        for entry in 0..<2 as Range<UInt32> { try? keysMap.write(syn_code_keys(), at: entry) }
    }

    private func write(_ keys: [FilterKey], usesTime: Bool, entry: UInt32) throws(KernelFilterError) {
        var value = syn_code_keys()
        defer { unsafe explicit_bzero(&value, MemoryLayout<syn_code_keys>.size) }
        value.count = UInt32(keys.count)
        value.uses_time = usesTime ? 1 : 0
        for (index, key) in keys.enumerated() where key.isRoaming { value.roaming |= 1 << UInt32(index) }
        unsafe withUnsafeMutableBytes(of: &value.key) { words in
            let words = unsafe words.bindMemory(to: syn_code_key.self)
            for (index, key) in keys.enumerated() {
                key.keys.withSYNCodeKey { bytes in
                    unsafe words[index].low = bytes.uint64(at: 0).byteSwapped
                    unsafe words[index].high = bytes.uint64(at: 8).byteSwapped
                }
            }
        }
        try keysMap.write(value, at: entry)
    }

    /// Tests the program on a SYN with a right code and one with a wrong code.
    ///
    /// A program that gives wrong answers would lock everybody out.
    private func examine(_ key: FilterKey, isBound: Bool, _ slot: TimeSlot) throws(KernelFilterError) {
        // 192.0.2.1 is reserved for documentation (RFC 5737); the sequence number is arbitrary.
        let handshake = Handshake(clientAddress: IPAddress(ipv4: 0xc000_0201), clientISN: 0x1234_5678)
        let coded = isBound ? handshake : .roaming(clientISN: handshake.clientISN)
        let code = SYNCode(keys: key.keys, handshake: coded, slot: slot)
        for (field, isRight) in [(code.full, true), (code.windowed, true), (~code.full, false)] {
            var packet = [UInt8](repeating: 0, count: 40)
            var bytes = packet.mutableSpan
            bytes.store(0x4500_0028 as UInt32, at: 0)
            bytes.store(0x4006_0000 as UInt32, at: 8)
            bytes.store(0xc000_0201 as UInt32, at: 12)
            bytes.store(handshake.clientISN, at: 24)
            bytes.store(field, at: 28)
            bytes.store(0x5002_0000 as UInt32, at: 32)
            for answer in [try drops(packet), try hookDrops(packet)].compactMap(\.self) {
                guard answer != isRight else { throw .wrongAnswer }
                if isRight { uncounted.passed &+= 1 } else { uncounted.wrong &+= 1 }
            }
        }
    }

    // MARK: Queries

    /// The number of packets for each answer of the program.
    package struct Counters: Equatable, Sendable {
        /// SYNs dropped because their code is wrong.
        package var wrong: UInt64 = 0
        /// SYNs with a right code, or any SYNs while there are no keys.
        package var passed: UInt64 = 0
        /// Packets that are not SYNs, or that the program cannot parse.
        package var unparsed: UInt64 = 0

        package init() {}
    }

    /// Returns the sum over all CPUs since `load`, without the self-tests of `update`.
    package func counters() throws(KernelFilterError) -> Counters {
        var sum = Counters()
        for counters in try countersMap.readAllCPUs() {
            sum.wrong &+= counters.wrong
            sum.passed &+= counters.passed
            sum.unparsed &+= counters.unparsed
        }
        sum.wrong &-= uncounted.wrong
        sum.passed &-= uncounted.passed
        sum.unparsed &-= uncounted.unparsed
        return sum
    }

    /// Returns whether the program would drop a packet that starts with its IP header; needs no network.
    package func drops(_ packet: [UInt8]) throws(KernelFilterError) -> Bool {
        // An Ethernet header, of which only the type matters; the kernel removes it before the program runs.
        let isIPv6 = packet.first.map { $0 >> 4 == 6 } ?? false
        let frame = [UInt8](repeating: 0, count: 12) + (isIPv6 ? [0x86, 0xdd] : [0x08, 0x00]) + packet
        return try program.run(on: frame) != 0
    }

    /// Returns whether the hook program would drop a packet, whatever its port; nil if there is none.
    ///
    /// - Parameter packet: A packet that starts with its IP header; the kernel rejects fewer than 20 bytes.
    /// - Returns: Whether it would be dropped; nil if there is no hook program.
    /// - Throws: `KernelFilterError` from the kernel.
    package func hookDrops(_ packet: [UInt8]) throws(KernelFilterError) -> Bool? {
        guard hookProgram != nil else { return nil }
        // NF_DROP is 0.
        return try hookProgram?.run(on: packet) == 0
    }

    // MARK: Removal

    /// Unpins program and maps; rules that use the program keep it.
    ///
    /// Only to be called while no rule of iptables-legacy uses it: changes to the table with such a rule would fail
    /// from then on.
    package func remove() {
        try? PinFolder.clear(pinFolder)
        PinFolder.remove(pinFolder)
    }

    /// Switches off a filter that another run has pinned, of any version, and removes its keys; does nothing if there
    /// is none.
    ///
    /// For a daemon that is to work without the filter: the rules may still use one that has outdated keys.
    package static func switchOff(pinFolder: FilePath) throws(KernelFilterError) {
        for name in ["control", "keys"] {
            guard let map = try BPFDescriptor.pinned(pinFolder.appending(name)) else { continue }
            try map.clearAllValues()
        }
    }

    /// The most bytes of an object file that are hashed; those of today have less than 100,000.
    private static let longestObject = 16 << 20

    /// Returns a hash of the object files (FNV-1a), which serves as their version number.
    private static func version(of objects: [FilePath]) throws(KernelFilterError) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for object in objects {
            do throws(Errno) {
                let bytes = try object.content(limit: longestObject)
                for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            } catch {
                guard error == .noSuchFileOrDirectory else { throw .system(call: "read \(object)", error) }
                throw .objectMissing([object.removingLastComponent()])
            }
        }
        return hash
    }
}
