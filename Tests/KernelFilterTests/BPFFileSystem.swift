// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KernelFilter
import SystemPackage

/// A BPF file system that no other process sees, and that is gone with this object.
final class BPFFileSystem {
    /// Its top folder.
    let root: FilePath
    private let descriptor: FileDescriptor

    /// Makes one.
    init() throws {
        var template = Array("/tmp/tcpknock-test-bpf.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        let place = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { rmdir(place) }
        guard mount("bpf", place, "bpf", 0, "mode=0700") == 0 else { throw Errno(rawValue: errno) }
        // Detached at once: it lives on as long as it is open, and not longer, however the tests end.
        defer { umount2(place, Int32(MNT_DETACH)) }
        descriptor = try FileDescriptor.open(FilePath(place), .readOnly, options: [.directory, .closeOnExec])
        root = FilePath("/proc/self/fd/\(descriptor.rawValue)")
    }

    deinit {
        try? descriptor.close()
    }

    /// Why filters cannot be tested here; nil if they can.
    static let obstacle: String? = {
        do {
            let files = try BPFFileSystem()
            return try withExtendedLifetime(files) {
                _ = try KernelFilter.load(
                    object: try KernelFilter.locateObject(), pinFolder: files.root.appending("trial"))
                return nil
            }
        } catch {
            return "no BPF program can be loaded here (\(error)); 'make unit-test' as root builds and loads it"
        }
    }()
}
