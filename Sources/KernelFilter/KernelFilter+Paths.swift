// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import Linux
package import SystemPackage
internal import Wire

extension KernelFilter {
    /// The file name of the compiled program.
    package static let objectName = "syn_code.bpf.o"

    /// The file name of the compiled hook program, in the same folder.
    package static let hookObjectName = "syn_code_hook.bpf.o"

    /// The file name of the compiled gate program (`FilterHook.closeGate`), in the same folder.
    package static let gateObjectName = "syn_code_gate.bpf.o"

    /// The command that mounts a BPF file system where systemd would.
    package static let mountCommand = "mount -t bpf bpf /sys/fs/bpf"

    /// Finds the compiled program: next to the executable, as built, or where `make install` puts it.
    ///
    /// - Parameter executable: The path of the executable; nil to ask the kernel.
    /// - Returns: The first path that exists.
    /// - Throws: `objectMissing`, with the folders searched.
    package static func locateObject(executable: FilePath? = nil) throws(KernelFilterError) -> FilePath {
        guard let executable = executable ?? FilePath.ownProgram else { throw .objectMissing([]) }
        let folder = executable.removingLastComponent()
        let folders = [folder, folder.removingLastComponent().appending("lib").appending("tcpknock")]
        for folder in folders {
            let path = folder.appending(objectName)
            if path.exists { return path }
        }
        throw .objectMissing(folders)
    }

    /// Returns the folder for the filter of a queue.
    ///
    /// Its name includes the number of the network namespace, because queues of the same number in other namespaces
    /// have other keys, and a BPF file system can be visible in all of them.
    ///
    /// - Parameters:
    ///   - parent: The folder for all filters.
    ///   - queue: The number of the queue.
    /// - Returns: The path of the folder.
    /// - Throws: `KernelFilterError` if the namespace cannot be read.
    package static func pinFolder(in parent: FilePath, queue: UInt16) throws(KernelFilterError) -> FilePath {
        let namespace: Stat
        do {
            namespace = try Stat(FilePath.ownNetworkNamespace)
        } catch {
            throw .system(call: "stat \(FilePath.ownNetworkNamespace)", error)
        }
        return parent.appending("\(namespace.inode.rawValue)-\(queue)")
    }
}
