// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import Linux
internal import SystemPackage
internal import Wire

/// A folder in which a program and its maps are pinned.
enum PinFolder {
    /// Returns the path of the program, which the firewall rules name.
    static func program(in folder: FilePath) -> FilePath { folder.appending("syn_code") }

    /// Returns the path of the hook program, which exists only if the kernel supports it.
    static func hookProgram(in folder: FilePath) -> FilePath { folder.appending("syn_code_hook") }

    /// Returns the path of the gate program, which exists only if the kernel supports it.
    static func gateProgram(in folder: FilePath) -> FilePath { folder.appending("syn_code_gate") }

    /// Returns the path of the link that keeps a program attached at a hook for a family, until it is unlinked.
    static func link(_ place: FilterHook.Place, _ family: IPFamily, in folder: FilePath) -> FilePath {
        folder.appending("link-" + place.name + (family == .ipv4 ? "ipv4" : "ipv6"))
    }

    /// Creates the folder and its missing parents, accessible to root only, because maps contain keys.
    static func make(_ folder: FilePath) throws(KernelFilterError) {
        var missing: [FilePath] = []
        var existing = folder
        while !existing.exists, !existing.components.isEmpty {
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

    /// Unpins everything in the folder; the folder stays.
    static func clear(_ folder: FilePath) throws(KernelFilterError) {
        for place in FilterHook.Place.allCases { try detach(place, in: folder) }
        for name in [
            "syn_code_gate", "gate", "syn_code_hook", "scope", "own", "syn_code", "control", "keys", "counters",
        ] {
            try unpin(folder.appending(name))
        }
    }

    /// Detaches the program at a hook, for both families.
    static func detach(_ place: FilterHook.Place, in folder: FilePath) throws(KernelFilterError) {
        for family in IPFamily.allCases { try unpin(link(place, family, in: folder)) }
    }

    /// Unpins the object at a path, if there is one.
    static func unpin(_ path: FilePath) throws(KernelFilterError) {
        guard unsafe path.withPlatformString({ unsafe unlink($0) }) == 0 || Glibc.errno == ENOENT else {
            throw KernelFilterError(call: "unlink \(path)")
        }
    }

    /// Removes the folder if it is empty.
    static func remove(_ folder: FilePath) {
        _ = unsafe folder.withPlatformString { unsafe rmdir($0) }
    }
}
