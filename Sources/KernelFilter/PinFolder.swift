// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
package import SystemPackage
internal import Wire

extension KernelFilter {
    /// The name of the compiled program.
    package static let objectName = "syn_code.bpf.o"

    /// The name of the compiled program for a hook of netfilter, which lies beside it.
    package static let hookObjectName = "syn_code_hook.bpf.o"

    /// The name of the compiled program for the gate behind it (`FilterHook.closeGate`), which lies beside both.
    package static let gateObjectName = "syn_code_gate.bpf.o"

    /// Where filters are pinned, each in a folder of its own.
    package static let defaultPinFolder: FilePath = "/sys/fs/bpf/tcpknock"

    /// The file of the running program, from /proc/self/exe (proc(5)); nil if the kernel does not say.
    package static var executable: FilePath? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard length > 0 else { return nil }
        return FilePath(String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    /// Finds the compiled program: in the folder of the executable, as it is built, or where `make install` puts it.
    ///
    /// - Parameter executable: The path of this program; nil asks the kernel.
    /// - Returns: The path of the first that is there.
    /// - Throws: `objectMissing`, with the folders.
    package static func locateObject(executable: FilePath? = nil) throws(KernelFilterError) -> FilePath {
        guard let executable = executable ?? Self.executable else { throw .objectMissing([]) }
        let folder = executable.removingLastComponent()
        let folders = [folder, folder.removingLastComponent().appending("lib").appending("tcpknock")]
        for folder in folders {
            let path = folder.appending(objectName)
            if PinFolder.exists(path) { return path }
        }
        throw .objectMissing(folders)
    }

    /// Names the folder for the filter of a queue: the namespace's number is in it, because queues of the same number
    /// in other network namespaces have other keys, and a BPF file system can be seen from all.
    package static func pinFolder(
        in parent: FilePath = defaultPinFolder, queue: UInt16
    ) throws(KernelFilterError) -> FilePath {
        let namespace: Stat
        do {
            namespace = try Stat("/proc/self/ns/net" as FilePath)
        } catch {
            throw .system(call: "stat /proc/self/ns/net", error)
        }
        return parent.appending("\(namespace.inode.rawValue)-\(queue)")
    }
}

/// A folder with pinned program and maps.
enum PinFolder {
    /// The path that the firewall rules name.
    static func program(in folder: FilePath) -> FilePath { folder.appending("syn_code") }

    /// The path of the program for a hook of netfilter, where the kernel has such.
    static func hookProgram(in folder: FilePath) -> FilePath { folder.appending("syn_code_hook") }

    /// The path of the program for the gate, where the kernel has such.
    static func gateProgram(in folder: FilePath) -> FilePath { folder.appending("syn_code_gate") }

    /// What keeps a program attached at a place for a family: it stays so until this is unlinked.
    static func link(_ place: FilterHook.Place, _ family: IPFamily, in folder: FilePath) -> FilePath {
        folder.appending("link-" + place.name + (family == .ipv4 ? "ipv4" : "ipv6"))
    }

    /// Makes the folder, and those above it that are missing; they are root's alone, because maps hold keys.
    static func make(_ folder: FilePath) throws(KernelFilterError) {
        var missing: [FilePath] = []
        var existing = folder
        while !exists(existing), !existing.components.isEmpty {
            missing.append(existing)
            existing.removeLastComponent()
        }
        guard unsafe existing.withPlatformString({ unsafe cbpf_is_bpf_file_system($0) }) != 0 else {
            throw .noBPFFileSystem(folder)
        }
        for path in missing.reversed() {
            guard unsafe path.withPlatformString({ unsafe mkdir($0, 0o700) }) == 0 || Glibc.errno == EEXIST else {
                throw KernelFilterError(call: "mkdir \(path)")
            }
        }
    }

    /// Unpins what is there; the folder stays.
    static func clear(_ folder: FilePath) throws(KernelFilterError) {
        for place in FilterHook.Place.allCases { try detach(place, in: folder) }
        for name in [
            "syn_code_gate", "gate", "syn_code_hook", "scope", "own", "syn_code", "control", "keys", "counters",
        ] {
            try unpin(folder.appending(name))
        }
    }

    /// Detaches what is attached at a place, for both families.
    static func detach(_ place: FilterHook.Place, in folder: FilePath) throws(KernelFilterError) {
        for family in IPFamily.allCases { try unpin(link(place, family, in: folder)) }
    }

    /// Unpins what is at a path, if anything is.
    static func unpin(_ path: FilePath) throws(KernelFilterError) {
        guard unsafe path.withPlatformString({ unsafe unlink($0) }) == 0 || Glibc.errno == ENOENT else {
            throw KernelFilterError(call: "unlink \(path)")
        }
    }

    /// Removes the folder, if it is empty.
    static func remove(_ folder: FilePath) {
        _ = unsafe folder.withPlatformString { unsafe rmdir($0) }
    }

    static func exists(_ path: FilePath) -> Bool {
        unsafe path.withPlatformString { unsafe access($0, F_OK) } == 0
    }
}
