// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import SystemPackage

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
