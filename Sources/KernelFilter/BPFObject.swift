// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import SystemPackage

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
