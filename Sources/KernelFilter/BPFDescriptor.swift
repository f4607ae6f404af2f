// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import SystemPackage

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
