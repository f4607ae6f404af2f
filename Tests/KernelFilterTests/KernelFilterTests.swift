// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KernelFilter
import KnockProtocol
import Linux
import SystemPackage
import TestSupport
import Testing
import Wire

@Suite(.enabled(if: BPFFileSystem.obstacle == nil, Comment(rawValue: BPFFileSystem.obstacle ?? "")))
struct KernelFilterTests {
    private let files: BPFFileSystem
    private let object: FilePath
    private let folder: FilePath
    private let now = TimeSlot(unixSeconds: 1_710_000_000)
    private let keys = FilterKeys.all

    init() throws {
        files = try BPFFileSystem()
        object = try KernelFilter.locateObject()
        folder = files.root.appending("tcpknock").appending("100")
    }

    private func load() throws -> KernelFilter {
        try KernelFilter.load(object: object, pinFolder: folder)
    }

    /// The object file with a change.
    private func changedObject(_ change: (inout [UInt8]) -> Void) throws -> FilePath {
        let path = FilePath("/tmp/tcpknock-test-\(UInt64.random(in: 0...UInt64.max)).o")
        let original = try FileDescriptor.open(object, .readOnly)
        defer { try? original.close() }
        let copy = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite)
        defer { try? copy.close() }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        let count = try buffer.withUnsafeMutableBytes { try original.read(into: $0) }
        buffer.removeSubrange(count...)
        change(&buffer)
        try copy.writeAll(buffer)
        return path
    }

    /// Another version: the same program in a file that differs.
    private func otherVersion() throws -> FilePath { try changedObject { $0.append(0) } }

    // MARK: What is dropped

    @Test("Without keys everything with a code passes, and an empty field never")
    func noKeys() throws {
        let filter = try load()
        var packet = FilterKeys.syn(keys[0], now)
        #expect(filter.origin == .loaded)
        #expect(try !filter.drops(packet.bytes))
        packet.acknowledgmentNumber = 0
        #expect(try filter.drops(packet.bytes))
    }

    @Test("Codes of the slots around now pass, in both modes; others are dropped", arguments: MaskMode.allCases)
    func slots(_ mode: MaskMode) throws {
        let filter = try load()
        try filter.update(keys: [keys[0]], usesTime: true, clock: .at(now))
        for delta in -3...3 {
            let slot = TimeSlot(number: UInt64(Int(now.number) + delta))
            #expect(try filter.drops(FilterKeys.syn(keys[0], slot, mode).bytes) == (abs(delta) > 1), "\(delta)")
        }
        #expect(try filter.drops(FilterKeys.syn(keys[1], now, mode).bytes))
        #expect(try filter.drops(FilterKeys.syn(keys[0], .timeless, mode).bytes))
    }

    @Test("Slots begin and end when they do", arguments: [1, 58])
    func slotBoundaries(_ seconds: Int64) throws {
        let filter = try load()
        try filter.update(keys: [keys[0]], usesTime: true, clock: .at(now, plus: seconds))
        #expect(try !filter.drops(FilterKeys.syn(keys[0], #require(now.previous)).bytes))
        #expect(try !filter.drops(FilterKeys.syn(keys[0], now.next).bytes))
        #expect(try filter.drops(FilterKeys.syn(keys[0], now.next.next).bytes))
    }

    @Test("The clock can be set without new keys, to any year that it can have")
    func clock() throws {
        let filter = try load()
        try filter.update(keys: [keys[0]], usesTime: true, clock: .at(now))
        for number in [0, 1, 2, 28_500_000, 153_000_000] as [UInt64] {
            let slot = TimeSlot(number: number)
            try filter.refreshClock(.at(slot))
            #expect(try !filter.drops(FilterKeys.syn(keys[0], slot).bytes), "\(slot)")
            #expect(try !filter.drops(FilterKeys.syn(keys[0], slot.next).bytes), "\(slot)")
            #expect(try filter.drops(FilterKeys.syn(keys[0], slot.next.next).bytes), "\(slot)")
        }
    }

    @Test("A time before 1970 is in slot 0, which has none before it")
    func beforeTheEpoch() throws {
        let filter = try load()
        try filter.update(keys: [keys[0]], usesTime: true, clock: .at(TimeSlot(number: 0), plus: -3600))
        #expect(try !filter.drops(FilterKeys.syn(keys[0], TimeSlot(number: 0)).bytes))
        #expect(try !filter.drops(FilterKeys.syn(keys[0], TimeSlot(number: 1)).bytes))
        #expect(try filter.drops(FilterKeys.syn(keys[0], TimeSlot(number: .max)).bytes))
    }

    @Test("With time switched off only slot 0 is good")
    func timeOff() throws {
        let filter = try load()
        try filter.update(keys: [keys[0]], usesTime: false, clock: .at(now))
        #expect(try !filter.drops(FilterKeys.syn(keys[0], .timeless).bytes))
        #expect(try filter.drops(FilterKeys.syn(keys[0], now).bytes))
        #expect(try filter.drops(FilterKeys.syn(keys[0], TimeSlot(number: 1)).bytes))
    }

    @Test("A code that came out as 0 and is 1 instead passes, as the published vectors have it")
    func codeZero() throws {
        let filter = try load()
        try filter.update(keys: [TestKeys.published], usesTime: true, clock: .at(now))
        for sequenceNumber in [0x1908_2a28, 0x1832_930d] as [UInt32] {
            var packet = TestPacket()
            packet.sequenceNumber = sequenceNumber
            packet.acknowledgmentNumber = 1
            #expect(try !filter.drops(packet.bytes))
            packet.acknowledgmentNumber = 0
            #expect(try filter.drops(packet.bytes))
            packet.acknowledgmentNumber = 0x0100_0000
            #expect(try filter.drops(packet.bytes))
        }
    }

    // MARK: Keys

    @Test("As many keys as there is room for", arguments: [1, 2, 15, 16])
    func manyKeys(_ count: Int) throws {
        let filter = try load()
        try filter.update(keys: Array(keys.prefix(count)), usesTime: true, clock: .at(now))
        for (index, key) in keys.enumerated() {
            #expect(try filter.drops(FilterKeys.syn(key, now).bytes) == (index >= count))
        }
    }

    @Test("A code that is bound to no address passes just where the key is good everywhere")
    func roaming() throws {
        let filter = try load()
        let filterKeys = keys.prefix(16).enumerated().map { FilterKey($1, isRoaming: $0 == 15) }
        try filter.update(keys: filterKeys, usesTime: true, clock: .at(now))
        for (index, key) in keys.enumerated() {
            var packet = FilterKeys.syn(key, now)
            #expect(try filter.drops(packet.bytes) == (index >= 16))
            let handshake = Handshake.roaming(clientISN: packet.sequenceNumber)
            packet.acknowledgmentNumber = SYNCode(keys: key, handshake: handshake, slot: now).windowed
            #expect(try filter.drops(packet.bytes) == (index != 15))
        }
    }

    @Test("More keys are refused, and switch the filter off")
    func tooManyKeys() throws {
        let filter = try load()
        try filter.update(keys: [keys[0]], usesTime: true, clock: .at(now))
        #expect(throws: KernelFilterError.tooManyKeys(17)) {
            try filter.update(keys: keys, usesTime: true, clock: .at(now))
        }
        #expect(try !filter.drops(FilterKeys.syn(keys[1], now).bytes))
    }

    @Test("Keys can be changed again and again")
    func keyChange() throws {
        let filter = try load()
        for round in 0..<6 {
            try filter.update(keys: [keys[round]], usesTime: true, clock: .at(now))
            if round.isMultiple(of: 2) { try filter.refreshClock(.at(now)) }
            for (index, key) in keys.prefix(6).enumerated() {
                #expect(try filter.drops(FilterKeys.syn(key, now).bytes) == (index != round))
            }
        }
    }

    // MARK: Pinned

    @Test("Who starts again takes over program and keys")
    func takeOver() throws {
        let first = try load()
        try first.update(keys: [keys[0]], usesTime: true, clock: .at(now))
        let second = try load()
        #expect(second.origin == .takenOver)
        #expect(try second.drops(FilterKeys.syn(keys[1], now).bytes))
        #expect(try !second.drops(FilterKeys.syn(keys[0], now).bytes))
        // What the rules hold is the program of the first; it follows the second.
        try second.update(keys: [keys[1]], usesTime: true, clock: .at(now))
        #expect(try first.drops(FilterKeys.syn(keys[0], now).bytes))
        #expect(try !first.drops(FilterKeys.syn(keys[1], now).bytes))
    }

    @Test("Another version replaces the program, and switches the old one off")
    func replacement() throws {
        let old = try load()
        try old.update(keys: [keys[0]], usesTime: true, clock: .at(now))
        let path = try otherVersion()
        defer { unlink(path.string) }
        let new = try KernelFilter.load(object: path, pinFolder: folder)
        #expect(new.origin == .replaced)
        try new.update(keys: [keys[1]], usesTime: true, clock: .at(now))
        #expect(try !old.drops(FilterKeys.syn(keys[2], now).bytes))
        #expect(try new.drops(FilterKeys.syn(keys[2], now).bytes))
        #expect(try KernelFilter.load(object: path, pinFolder: folder).origin == .takenOver)
    }

    @Test("A disarmed filter lets codes pass, and can be armed again")
    func disarm() throws {
        let filter = try load()
        try filter.update(keys: [keys[0]], usesTime: true, clock: .at(now))
        filter.disarm()
        #expect(try !filter.drops(FilterKeys.syn(keys[1], now).bytes))
        let next = try load()
        #expect(next.origin == .takenOver)
        #expect(try !next.drops(FilterKeys.syn(keys[1], now).bytes))
        try next.update(keys: [keys[0]], usesTime: true, clock: .at(now))
        #expect(try next.drops(FilterKeys.syn(keys[1], now).bytes))
    }

    @Test("A filter of another run can be switched off without loading one; where there is none, nothing happens")
    func switchOff() throws {
        try KernelFilter.switchOff(pinFolder: folder)
        let filter = try load()
        try filter.update(keys: [keys[0]], usesTime: true, clock: .at(now))
        try KernelFilter.switchOff(pinFolder: folder)
        #expect(try !filter.drops(FilterKeys.syn(keys[1], now).bytes))
    }

    @Test("What is unpinned is loaded anew")
    func remove() throws {
        try load().remove()
        #expect(throws: Errno.noSuchFileOrDirectory) { try FileDescriptor.open(folder, .readOnly) }
        #expect(try load().origin == .loaded)
    }

    @Test("A program that the kernel does not take is refused with its reason, and leaves nothing behind")
    func refused() throws {
        // A call of `bpf_map_lookup_elem` (Documentation/bpf/standardization/instruction-set.rst), and one of a helper that
        // no kernel has.
        let lookUp: [UInt8] = [0x85, 0, 0, 0, 1, 0, 0, 0]
        let other: [UInt8] = [0x85, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f]
        var count = 0
        let path = try changedObject { bytes in
            for index in stride(from: 0, to: bytes.count - 8, by: 8) where Array(bytes[index..<index + 8]) == lookUp {
                bytes.replaceSubrange(index..<index + 8, with: other)
                count += 1
            }
        }
        defer { unlink(path.string) }
        try #require(count > 0)
        do throws(KernelFilterError) {
            _ = try KernelFilter.load(object: path, pinFolder: folder)
            Issue.record("it was taken")
        } catch {
            guard case .refused(.invalidArgument, let lines) = error, let reason = lines.last else {
                Issue.record("\(error)")
                return
            }
            #expect(!reason.isEmpty && !reason.hasPrefix("processed"))
            #expect(error.description.contains(reason) && error.verifierLines == lines)
        }
        #expect(throws: Errno.noSuchFileOrDirectory) {
            try FileDescriptor.open(folder.appending("syn_code"), .readOnly)
        }
    }

    @Test("Who may not load programs is told what it takes") func notPermitted() async throws {
        await #expect(processExitsWith: .success) {
            let files = try BPFFileSystem()
            let object = try KernelFilter.locateObject()
            chmod(files.root.string, 0o777)
            dropPrivileges()
            defer { regainPrivileges() }
            do throws(KernelFilterError) {
                _ = try KernelFilter.load(object: object, pinFolder: files.root.appending("100"))
                Issue.record("it was loaded")
            } catch {
                guard case .notPermitted = error else {
                    Issue.record("\(error)")
                    return
                }
                #expect(error.description.contains("CAP_BPF"))
            }
        }
    }

    @Test("Each answer is counted")
    func counters() throws {
        let filter = try load()
        try filter.update(keys: [keys[0]], usesTime: true, clock: .at(now))
        #expect(try filter.counters() == KernelFilter.Counters())
        for _ in 0..<3 { _ = try filter.drops(FilterKeys.syn(keys[1], now).bytes) }
        for _ in 0..<2 { _ = try filter.drops(FilterKeys.syn(keys[0], now).bytes) }
        var segment = FilterKeys.syn(keys[1], now)
        segment.flags = .ack
        _ = try filter.drops(segment.bytes)
        let counters = try filter.counters()
        #expect(counters.wrong == 3)
        #expect(counters.passed == 2)
        #expect(counters.unparsed == 1)
        #expect(try load().counters() == KernelFilter.Counters())
    }

    // MARK: The gate

    /// What the gate makes of a packet of no connection, with port 22 closed; nil where the kernel has no gate.
    private func gate(_ filter: KernelFilter) throws -> ((TestPacket) throws -> Bool)? {
        guard filter.hookObstacle == nil else { return nil }
        #expect(filter.gateObstacle == nil)
        try FilterHook.tellGate(pinFolder: folder, scope: FilterScope(ports: [22, 65_535]), mark: 0x1000)
        return { packet in
            let answer = try filter.gateDrops(packet.bytes)
            #expect(answer != nil)
            return answer == true
        }
    }

    /// A packet over IPv6 with extension headers.
    private func packet(behind headers: [UInt8], first: UInt8) -> TestPacket {
        var packet = TestPacket()
        packet.source = IPAddress(high: 0x2001_0db8_0000_0000, low: 1)
        packet.destination = IPAddress(high: 0x2001_0db8_0000_0000, low: 2)
        (packet.networkOptions, packet.firstNextHeader) = (headers, first)
        return packet
    }

    @Test("What belongs to no connection ends at the gate, unless it is a RST or for another port")
    func gateFlags() throws {
        guard let drops = try gate(load()) else { return }
        for source in [IPAddress(192, 0, 2, 10), IPAddress(high: 0x2001_0db8_0000_0000, low: 1)] {
            var packet = TestPacket()
            packet.source = source
            for flags in 0...63 as ClosedRange<UInt8> {
                packet.flags = TCPFlags(rawValue: flags)
                for port in [22, 65_535, 65_534] as [UInt16] {
                    packet.destinationPort = port
                    #expect(try drops(packet) == (port != 65_534 && !packet.flags.contains(.rst)), "\(flags) \(port)")
                }
            }
        }
    }

    @Test("Of a segment in fragments, the one with the ports ends at the gate") func gateFragments() throws {
        let filter = try load()
        guard let drops = try gate(filter) else { return }
        for (port, isProtected) in [(22, true), (23, false)] as [(UInt16, Bool)] {
            // More fragments, and a place in 8 bytes, as both families have them.
            for (more, place) in [(true, 0), (true, 1), (false, 1), (false, 8191)] as [(Bool, UInt16)] {
                let isFirst = place == 0
                var packet = packet(
                    behind: [6, 0] + (place << 3 | (more ? 1 : 0)).networkBytes + [0, 0, 0, 7], first: 44)
                packet.destinationPort = port
                packet.flags = .rst
                #expect(try drops(packet) == (isFirst && isProtected))
                packet.networkOptions[0] = 17
                #expect(try !drops(packet), "UDP")
                packet = TestPacket()
                packet.destinationPort = port
                var bytes = packet.bytes
                bytes.replaceSubrange(6..<8, with: (place | (more ? 0x2000 : 0)).networkBytes)
                #expect(try filter.gateDrops(bytes) == (isFirst && isProtected))
                #expect(try filter.gateDrops(Array(bytes.prefix(22))) == isFirst, "which port cannot be seen")
            }
        }
        // The first piece ends within the headers before TCP.
        let cutOff = packet(behind: [60, 0, 0, 1, 0, 0, 0, 7, 6, 200, 0, 0, 0, 0, 0, 0], first: 44)
        #expect(try drops(cutOff))
    }

    @Test("Extension headers hide no segment from the gate") func gateExtensionHeaders() throws {
        guard let drops = try gate(load()) else { return }
        for count in 0...18 {
            var chain: [UInt8] = []
            for index in 0..<count { chain += [index + 1 < count ? 60 : 6, 0, 1, 4, 0, 0, 0, 0] }
            var packet = packet(behind: chain, first: 60)
            #expect(try drops(packet))
            packet.destinationPort = 23
            #expect(try drops(packet) == (count > 16), "\(count): too many to see the port")
            packet.destinationPort = 22
            packet.flags = .rst
            #expect(try drops(packet) == (count > 8), "\(count): nothing that the daemon would read")
        }
        // A routing header with segments left: a RST, for the checksum says nothing.
        var packet = packet(behind: [6, 0, 4, 1, 0, 0, 0, 0], first: 43)
        packet.flags = .rst
        #expect(try drops(packet))
        packet.destinationPort = 23
        #expect(try !drops(packet))
    }

    @Test("What is not TCP passes the gate") func gateOthers() throws {
        let filter = try load()
        guard let drops = try gate(filter) else { return }
        for type in 0...255 as ClosedRange<UInt8> where ![0, 6, 43, 44, 51, 60, 135, 139, 140].contains(type) {
            #expect(try !drops(packet(behind: [59, 0, 0, 0, 0, 0, 0, 0], first: type)))
            var bytes = TestPacket().bytes
            bytes[9] = type
            #expect(try filter.gateDrops(bytes) == false)
        }
        // Less than a TCP header is nothing that anybody would take.
        #expect(try filter.gateDrops(Array(TestPacket().bytes.prefix(39))) == false)
    }

    @Test("The gate closes what is protected, but to who is exempt") func gateScope() throws {
        let filter = try load()
        guard let drops = try gate(filter) else { return }
        func place(_ address: IPAddress, _ length: Int) throws -> FilterScope.Place {
            .prefix(try #require(IPPrefix(address, length: length)))
        }
        func closes(_ protected: [FilterScope.Place], _ exempt: [FilterScope.Place] = []) throws -> [Bool] {
            let scope = FilterScope(ports: [22], protected: protected, exempt: exempt)
            try FilterHook.tellGate(pinFolder: folder, scope: scope, mark: 1)
            // From 192.0.2.10 to 198.51.100.22, and from 2001:db8::1 to 2001:db8::2.
            return [try drops(TestPacket()), try drops(packet(behind: [], first: 6))]
        }
        let everywhere = [try place(IPAddress(0, 0, 0, 0), 0), try place(IPAddress(high: 0, low: 0), 0)]
        let network = IPAddress(high: 0x2001_0db8_0000_0000, low: 0)
        #expect(try closes([]) == [false, false])
        #expect(try closes(everywhere) == [true, true])
        // A prefix of nothing is still one of its family.
        #expect(try closes([everywhere[0]]) == [true, false])
        #expect(try closes([everywhere[1]]) == [false, true])
        #expect(try closes([place(IPAddress(198, 51, 100, 22), 32)]) == [true, false])
        #expect(try closes([place(IPAddress(198, 51, 100, 23), 32)]) == [false, false])
        #expect(try closes([place(IPAddress(198, 51, 100, 23), 31)]) == [true, false])
        #expect(try closes([place(network, 127)]) == [false, false])
        #expect(try closes([place(network, 126)]) == [false, true])
        #expect(try closes(everywhere, [place(IPAddress(192, 0, 2, 10), 32)]) == [false, true])
        #expect(try closes(everywhere, [place(IPAddress(192, 0, 2, 11), 32), place(network, 32)]) == [true, false])
        // A trial comes in by no interface.
        #expect(try closes([.interface("eth0")]) == [false, false])
        #expect(try closes(everywhere, [.interface("eth0")]) == [true, true])
        // The last of as many as there is room for counts.
        let others = try (0..<UInt8(FilterScope.maximumPlaces - 1)).map { try place(IPAddress(10, 0, 0, $0), 32) }
        #expect(try closes(others + [everywhere[0]]) == [true, false])
        #expect(throws: KernelFilterError.tooManyPlaces(FilterScope.maximumPlaces + 1)) {
            try closes(others + everywhere)
        }
    }

    @Test("Without the object of the gate the filter is as before, and says so") func noGate() throws {
        let place = FilePath("/tmp/tcpknock-test-\(UInt64.random(in: 0...UInt64.max))")
        try #require(mkdir(place.string, 0o700) == 0)
        let names = [KernelFilter.objectName, KernelFilter.hookObjectName]
        defer {
            for name in names { unlink(place.appending(name).string) }
            rmdir(place.string)
        }
        for name in names {
            let from = object.removingLastComponent().appending(name)
            try #require(symlink(from.string, place.appending(name).string) == 0)
        }
        let filter = try KernelFilter.load(object: place.appending(KernelFilter.objectName), pinFolder: folder)
        guard filter.hookObstacle == nil else { return }
        #expect(filter.gateObstacle != nil)
        #expect(try filter.gateDrops(TestPacket().bytes) == nil)
        let missing = KernelFilterError.gateMissing(folder.appending("syn_code_gate"))
        #expect(throws: missing) {
            try FilterHook.tellGate(pinFolder: folder, scope: FilterScope(ports: [22]), mark: 1)
        }
        #expect(missing.description.contains("the log of tcpknock-server says why"))
    }

    // MARK: What goes wrong

    @Test("A folder on another file system is refused")
    func notABPFFileSystem() {
        #expect(throws: KernelFilterError.noBPFFileSystem("/tmp/tcpknock")) {
            try KernelFilter.load(object: object, pinFolder: "/tmp/tcpknock")
        }
    }

    @Test("An object file that is missing or none is refused")
    func badObject() {
        #expect(throws: KernelFilterError.objectMissing(["/nowhere"])) {
            try KernelFilter.load(object: "/nowhere/syn_code.bpf.o", pinFolder: folder)
        }
        #expect(throws: KernelFilterError.self) {
            try KernelFilter.load(object: "/etc/passwd", pinFolder: folder)
        }
    }
}

@Suite struct FilterPlaceTests {
    @Test("The object file is looked for beside the program and in lib/tcpknock")
    func objectMissing() {
        #expect(throws: KernelFilterError.objectMissing(["/opt/x/sbin", "/opt/x/lib/tcpknock"])) {
            try KernelFilter.locateObject(executable: "/opt/x/sbin/tcpknock-server")
        }
    }

    @Test("Each queue of each network namespace has a folder")
    func pinFolder() throws {
        let folder = try KernelFilter.pinFolder(in: "/sys/fs/bpf/tcpknock", queue: 100)
        #expect(folder.starts(with: "/sys/fs/bpf/tcpknock"))
        #expect(folder.lastComponent?.string.hasSuffix("-100") == true)
        #expect(folder != (try KernelFilter.pinFolder(in: "/sys/fs/bpf/tcpknock", queue: 101)))
    }

    @Test("Errors say what to do")
    func errors() {
        #expect(KernelFilterError.noBPFFileSystem("/x").description.contains("mount -t bpf"))
        #expect(KernelFilterError.notPermitted(call: "load").description.contains("CAP_BPF"))
        #expect(KernelFilterError.refused(.invalidArgument, []).description.contains("Linux 5.11"))
        #expect(KernelFilterError.refused(.invalidArgument, ["0: r1", "bad insn"]).description.hasSuffix("bad insn"))
        #expect(KernelFilterError.tooManyKeys(17).description.contains("16"))
        #expect(KernelFilterError.tooManyPlaces(33).description.contains("32"))
    }
}
