// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import KnockProtocol
package import SystemPackage
internal import Wire

/// The program in the kernel that finds SYNs whose code cannot be right (`bpf/syn_code.bpf.c`), for the firewall rules
/// to drop before they are queued; and the same for a hook of netfilter (`FilterHook`), where the kernel has such.
///
/// Program and maps are pinned in a folder. The rules find the program there, and hold it from then on: after this
/// process has ended, too, and so a daemon that starts again takes over what is pinned. Not for two threads at a time.
@safe
package final class KernelFilter {
    /// How many keys the program can try.
    package static let maximumKeys = Int(SYN_CODE_MAXIMUM_KEYS)

    /// Where the program and its maps came from.
    package enum Origin: Equatable, Sendable {
        /// They were loaded; there were none before.
        case loaded
        /// They were pinned by an earlier run, and rules that hold the program hold this one.
        case takenOver
        /// Those of another version were pinned, and are switched off.
        ///
        /// Rules that hold the old program let every SYN through to the queue until `server.sh up` puts in the new one.
        case replaced
    }

    /// Where the program and its maps came from.
    package let origin: Origin
    /// The folder in which they are pinned.
    package let pinFolder: FilePath

    private let program: BPFDescriptor
    private let hookProgram: BPFDescriptor?
    private let controlMap: BPFMap<syn_code_control>
    private let keysMap: BPFMap<syn_code_keys>
    private let countersMap: BPFMap<syn_code_counters>

    /// Why there is no program for a hook, and so none for the gate; nil if there is one, or another run has loaded all.
    package let hookObstacle: KernelFilterError?
    /// Why there is no program for the gate, if the kernel has taken the one for a hook.
    package private(set) var gateObstacle: KernelFilterError?

    private var ownAddresses: OwnAddresses?
    private var control = syn_code_control()
    /// The entry of the keys that are no longer in use, but may have been read a moment ago.
    private var staleEntry: UInt32?
    /// What the program counted for others before this, or for our own trial.
    private var uncounted = Counters()

    /// Loads the program and pins it, or takes over the same one if it is pinned already.
    ///
    /// A new program lets everything pass until `update` gives it keys; one that is taken over keeps those it has. Bind
    /// the queue before: who holds the queue is the one who may write here.
    ///
    /// - Parameters:
    ///   - object: The compiled program (`locateObject`).
    ///   - pinFolder: A folder on a BPF file system; made if missing.
    /// - Returns: The filter, pinned.
    /// - Throws: What keeps the program out of the kernel.
    package static func load(
        object: FilePath, pinFolder: FilePath
    ) throws(KernelFilterError) -> KernelFilter {
        // To standard error, otherwise. What it says of a refusal is in the error.
        unsafe libbpf_set_print(nil)
        let folder = object.removingLastComponent()
        let hookObject = folder.appending(hookObjectName)
        let gateObject = folder.appending(gateObjectName)
        // Without those, there is only the first.
        let version = try version(of: [object] + [hookObject, gateObject].filter { PinFolder.exists($0) })
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
        // Also what a run that was killed while it pinned has left.
        try PinFolder.clear(pinFolder)
        let loaded = try BPFObject(path: object)
        let controlMap = BPFMap<syn_code_control>(try loaded.map("control"))
        let keysMap = BPFMap<syn_code_keys>(try loaded.map("keys"))
        let countersMap = BPFMap<syn_code_counters>(try loaded.map("counters"))
        let maps = [("control", controlMap.number), ("keys", keysMap.number), ("counters", countersMap.number)]
        // It needs a newer kernel than the other.
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
            // Before the verifier has begun.
            return (nil, .hooksUnknown(errno))
        } catch {
            return (nil, error)
        }
    }

    private static func takeOver(
        _ program: consuming BPFDescriptor, _ folder: FilePath, version: UInt64
    ) throws(KernelFilterError) -> KernelFilter? {
        // A map of another version may be longer than ours, and would be written over the end of a value.
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

    /// Loads the program for the gate behind the hook and pins it, unless it is there; without it the filter is as good
    /// as before.
    private func loadGate(_ object: FilePath) {
        guard hookProgram != nil, !PinFolder.exists(PinFolder.gateProgram(in: pinFolder)) else { return }
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

    /// Pins the program, as the last: where it is, all is.
    private func pinProgram() throws(KernelFilterError) {
        do throws(KernelFilterError) {
            try program.pin(PinFolder.program(in: pinFolder))
        } catch {
            remove()
            throw error
        }
    }

    // MARK: Keys and time

    /// Gives the program other keys and the time, and tries it; the change is one for the packets: old keys or new.
    ///
    /// - Parameters:
    ///   - keys: Those that are good from now on; with none, everything passes.
    ///   - usesTime: Whether codes depend on the time.
    ///   - clock: The time.
    ///   - acceptsData: Whether a SYN with data may pass the gate.
    /// - Throws: `tooManyKeys`, or `wrongAnswer`. After any error the program is switched off.
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

    /// Tells the program which addresses are this host's, for a `FilterScope` with `own`; about once a second.
    package func refreshOwnAddresses() throws(KernelFilterError) {
        // Without the program for a hook there is no map for them, and later perhaps no right to look for one.
        guard hookProgram != nil else { return }
        if ownAddresses == nil { ownAddresses = try OwnAddresses(pinFolder: pinFolder) }
        try ownAddresses?.refresh()
    }

    /// Tells the program the time; about once a second, and after the clock was set.
    package func refreshClock(_ clock: FilterClock) throws(KernelFilterError) {
        control.wall_clock_offset = clock.offset
        try controlMap.write(control)
        if let entry = staleEntry {
            try keysMap.write(syn_code_keys(), at: entry)
            staleEntry = nil
        }
    }

    /// Takes the keys out of the kernel: every SYN with a code passes, to the queue and whoever listens there.
    ///
    /// For the end of the daemon in good order: no key stays behind, and without a listener nobody gets in anyway. The
    /// program stays pinned, because iptables-legacy looks for it whenever anybody changes the table with the rule.
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

    /// Tries the program on a SYN with a right code and one with a wrong one: a program that judges wrongly would lock
    /// out everybody.
    private func examine(_ key: FilterKey, isBound: Bool, _ slot: TimeSlot) throws(KernelFilterError) {
        // 192.0.2.1 belongs to nobody (RFC 5737), and the sequence number may be any.
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

    // MARK: What it does

    /// Whether the kernel has taken the program for a hook, too.
    package var hasHook: Bool { hookProgram != nil }

    /// How many packets the program gave each answer.
    package struct Counters: Equatable, Sendable {
        /// SYNs that were dropped: their code cannot be right.
        package var wrong: UInt64 = 0
        /// SYNs with a right code, or any while there are no keys.
        package var passed: UInt64 = 0
        /// What is no SYN, or not to be read there.
        package var unparsed: UInt64 = 0

        /// Starts at zero.
        package init() {}
    }

    /// Adds up what the CPUs have counted, since `load` and without the trials of `update`.
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

    /// Says what the program would do with a packet, which begins with its IP header, without a network.
    package func drops(_ packet: [UInt8]) throws(KernelFilterError) -> Bool {
        // An Ethernet header, of which only the type matters; the kernel takes it off before the program runs.
        let isIPv6 = packet.first.map { $0 >> 4 == 6 } ?? false
        let frame = [UInt8](repeating: 0, count: 12) + (isIPv6 ? [0x86, 0xdd] : [0x08, 0x00]) + packet
        return try program.run(on: frame) != 0
    }

    /// Says what the program for a hook would do with a packet, whatever its port; nil if there is none.
    ///
    /// The kernel takes no packet of less than 20 bytes.
    package func hookDrops(_ packet: [UInt8]) throws(KernelFilterError) -> Bool? {
        guard hookProgram != nil else { return nil }
        // NF_DROP is 0.
        return try hookProgram?.run(on: packet) == 0
    }

    /// Says what the gate would do with a packet of no connection, once it has been closed; nil if there is no gate.
    ///
    /// The kernel takes no packet of less than 20 bytes.
    package func gateDrops(_ packet: [UInt8]) throws(KernelFilterError) -> Bool? {
        guard let program = try BPFDescriptor.pinned(PinFolder.gateProgram(in: pinFolder)) else { return nil }
        return try program.run(on: packet) == 0
    }

    // MARK: The end

    /// Unpins program and maps; rules that hold the program keep it.
    ///
    /// Only when no rule of iptables-legacy has it: changes to its table fail from now on.
    package func remove() {
        try? PinFolder.clear(pinFolder)
        PinFolder.remove(pinFolder)
    }

    /// Switches off what another run has pinned, whatever its version, and takes its keys out; does nothing if there is
    /// none.
    ///
    /// For a daemon that is to work without the filter: the rules may still hold one, with keys of yesterday.
    package static func switchOff(pinFolder: FilePath) throws(KernelFilterError) {
        for name in ["control", "keys"] {
            guard let map = try BPFDescriptor.pinned(pinFolder.appending(name)) else { continue }
            try map.clearAllValues()
        }
    }

    /// Hashes the object files (FNV-1a), so that nobody needs to think of a version number.
    private static func version(of objects: [FilePath]) throws(KernelFilterError) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for object in objects { try add(object, to: &hash) }
        return hash
    }

    private static func add(_ object: FilePath, to hash: inout UInt64) throws(KernelFilterError) {
        do {
            let file = try FileDescriptor.open(object, .readOnly, options: .closeOnExec)
            defer { try? file.close() }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = unsafe try buffer.withUnsafeMutableBytes { unsafe try file.read(into: $0) }
                guard count > 0 else { return }
                for byte in buffer.prefix(count) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            }
        } catch Errno.noSuchFileOrDirectory {
            throw .objectMissing([object.removingLastComponent()])
        } catch {
            throw .system(call: "read \(object)", error as? Errno ?? .ioError)
        }
    }
}
