// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import SystemPackage

extension KernelFilterError {
    /// Creates an error from `errno`, which the named call has just set.
    init(call: String) {
        let errno = Errno(rawValue: Glibc.errno)
        self = errno == .notPermitted ? .notPermitted(call: call) : .system(call: call, errno)
    }
}

/// The descriptor of a BPF program or map; closed when its owner goes away.
struct BPFDescriptor: ~Copyable {
    let number: Int32

    init(_ number: Int32) {
        self.number = number
    }

    deinit {
        close(number)
    }

    /// Opens the object pinned at a path; nil if there is none.
    static func pinned(_ path: FilePath) throws(KernelFilterError) -> BPFDescriptor? {
        let number = unsafe path.withPlatformString { unsafe bpf_obj_get($0) }
        if number >= 0 { return BPFDescriptor(number) }
        guard Glibc.errno == ENOENT else { throw KernelFilterError(call: "open \(path)") }
        return nil
    }

    /// Pins the object at a path.
    func pin(_ path: FilePath) throws(KernelFilterError) {
        guard unsafe path.withPlatformString({ unsafe bpf_obj_pin(number, $0) }) == 0 else {
            throw KernelFilterError(call: "pin \(path)")
        }
    }

    /// Runs a program once and returns its result.
    ///
    /// - Parameter frame: An Ethernet frame; for a netfilter program, an IP packet.
    /// - Returns: The program's return value.
    /// - Throws: `KernelFilterError` from the kernel.
    func run(on frame: [UInt8]) throws(KernelFilterError) -> UInt32 {
        var options = unsafe bpf_test_run_opts()
        unsafe options.sz = MemoryLayout<bpf_test_run_opts>.size
        let result = unsafe frame.withUnsafeBytes { frame in
            unsafe options.data_in = frame.baseAddress
            unsafe options.data_size_in = UInt32(frame.count)
            return unsafe bpf_prog_test_run_opts(number, &options)
        }
        guard result == 0 else { throw KernelFilterError(call: "try the program") }
        return unsafe options.retval
    }

    /// Sets all values of a map to zeros, whatever their type.
    func clearAllValues() throws(KernelFilterError) {
        var info = bpf_map_info()
        guard unsafe cbpf_map_info(number, &info) == 0 else { throw KernelFilterError(call: "ask about a map") }
        let zeros = [UInt8](repeating: 0, count: Int(info.value_size))
        for index in 0..<info.max_entries {
            var index = index
            let result = unsafe zeros.withUnsafeBytes {
                unsafe bpf_map_update_elem(number, &index, $0.baseAddress, UInt64(BPF_ANY))
            }
            guard result == 0 else { throw KernelFilterError(call: "write a map") }
        }
    }
}

/// An array map, with keys from 0 and values of a C structure.
struct BPFMap<Value: BitwiseCopyable>: ~Copyable {
    private let descriptor: BPFDescriptor

    init(_ descriptor: consuming BPFDescriptor) {
        self.descriptor = descriptor
    }

    /// Opens a pinned map; nil if there is none, or if its values have another size.
    init?(pinned path: FilePath) throws(KernelFilterError) {
        guard let descriptor = try BPFDescriptor.pinned(path) else { return nil }
        var info = bpf_map_info()
        guard unsafe cbpf_map_info(descriptor.number, &info) == 0 else {
            throw KernelFilterError(call: "ask about \(path)")
        }
        guard info.value_size == MemoryLayout<Value>.size else { return nil }
        self.init(descriptor)
    }

    func pin(_ path: FilePath) throws(KernelFilterError) {
        try descriptor.pin(path)
    }

    /// The map's descriptor, for a program that shares the map.
    var number: Int32 { descriptor.number }

    func read() throws(KernelFilterError) -> Value? {
        try readAll(copies: 1).first
    }

    func write(_ value: Value, at index: UInt32 = 0) throws(KernelFilterError) {
        var index = index
        let result = unsafe withUnsafeBytes(of: value) {
            unsafe bpf_map_update_elem(descriptor.number, &index, $0.baseAddress, UInt64(BPF_ANY))
        }
        guard result == 0 else { throw KernelFilterError(call: "write a map") }
    }

    /// Reads the first value of a per-CPU map, once for each CPU.
    func readAllCPUs() throws(KernelFilterError) -> [Value] {
        let count = libbpf_num_possible_cpus()
        guard count > 0 else { throw KernelFilterError(call: "count CPUs") }
        return try readAll(copies: Int(count))
    }

    private func readAll(copies: Int) throws(KernelFilterError) -> [Value] {
        var index: UInt32 = 0
        var result: Int32 = 0
        // The values of the CPUs are 8-byte aligned, and so are our structures.
        precondition(MemoryLayout<Value>.stride.isMultiple(of: 8))
        let values = unsafe [Value](unsafeUninitializedCapacity: copies) { buffer, count in
            unsafe result = bpf_map_lookup_elem(descriptor.number, &index, buffer.baseAddress)
            count = result == 0 ? copies : 0
        }
        guard result == 0 else { throw KernelFilterError(call: "read a map") }
        return values
    }
}

/// An object file loaded into the kernel by libbpf; programs and maps not taken from it are freed with it.
@safe
final class BPFObject {
    private let object: OpaquePointer

    /// Loads an object file.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - hook: The name of its netfilter program; nil if there is none.
    ///   - maps: Maps of another object that replace those of the same names in this one.
    /// - Throws: `KernelFilterError` from the kernel.
    init(
        path: FilePath, hook: String? = nil, sharing maps: [(name: String, descriptor: Int32)] = []
    ) throws(KernelFilterError) {
        // Receives the verifier's explanation if it rejects a program.
        var log = [CChar](repeating: 0, count: 65_536)
        var options = unsafe bpf_object_open_opts()
        unsafe options.sz = MemoryLayout<bpf_object_open_opts>.size
        var object: OpaquePointer?
        var openError: Int32 = 0
        var loadError: Int32 = 0
        unsafe log.withUnsafeMutableBufferPointer { log in
            unsafe options.kernel_log_buf = log.baseAddress
            unsafe options.kernel_log_size = log.count
            unsafe object = path.withPlatformString { unsafe bpf_object__open_file($0, &options) }
            guard let object = unsafe object else {
                openError = Glibc.errno
                return
            }
            if let hook { unsafe cbpf_make_netfilter_program(bpf_object__find_program_by_name(object, hook)) }
            for map in maps where loadError == 0 {
                let own = unsafe bpf_object__find_map_by_name(object, map.name)
                loadError = unsafe -bpf_map__reuse_fd(own, map.descriptor)
            }
            if loadError == 0 { loadError = unsafe -bpf_object__load(object) }
        }
        guard let object = unsafe object else {
            throw .system(call: "open \(path)", Errno(rawValue: openError))
        }
        guard loadError == 0 else {
            unsafe bpf_object__close(object)
            let errno = Errno(rawValue: loadError)
            throw errno == .notPermitted ? .notPermitted(call: "load \(path)") : .refused(errno, Self.lastLines(log))
        }
        unsafe self.object = object
    }

    deinit {
        unsafe bpf_object__close(object)
    }

    /// Returns the program with a name.
    func program(_ name: String) throws(KernelFilterError) -> BPFDescriptor {
        guard let program = unsafe bpf_object__find_program_by_name(object, name) else {
            throw .refused(.noSuchFileOrDirectory, ["no program \(name) in the object file"])
        }
        return try duplicate(unsafe bpf_program__fd(program))
    }

    /// Returns the map with a name.
    func map(_ name: String) throws(KernelFilterError) -> BPFDescriptor {
        try duplicate(unsafe bpf_object__find_map_fd_by_name(object, name))
    }

    private func duplicate(_ descriptor: Int32) throws(KernelFilterError) -> BPFDescriptor {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw KernelFilterError(call: "fcntl") }
        return BPFDescriptor(copy)
    }

    /// Returns the last lines of the verifier log, without its statistics.
    private static func lastLines(_ log: [CChar]) -> [String] {
        let text = String(decoding: log.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("processed ") && !$0.isEmpty }
        return lines.suffix(8).map(String.init)
    }
}
