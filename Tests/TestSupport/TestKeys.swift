// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import KnockProtocol
package import SystemPackage

/// The files of the repository that tests need, located relative to this source file.
package enum Repository {
    /// The root folder of the repository.
    package static let root = FilePath(#filePath).removingLastComponent().removingLastComponent()
        .removingLastComponent()

    /// Reads a whole file; its path is relative to the root folder.
    package static func read(_ path: String) throws -> [UInt8] {
        let file = try FileDescriptor.open(root.appending(path), .readOnly)
        defer { try? file.close() }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0) }
            guard count > 0 else { return content }
            content += buffer.prefix(count)
        }
    }

    /// Lists the files in a folder by name, hidden ones left out.
    ///
    /// All paths are relative to the root folder.
    package static func files(in path: String) throws(Errno) -> [String] {
        guard let folder = opendir(root.appending(path).string) else { throw Errno(rawValue: Glibc.errno) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append("\(path)/\(name)") }
        }
        return names.sorted()
    }
}

/// Keys for tests.
package enum TestKeys {
    /// The keys of the published test vectors, keys/test-vector.dat.
    package static let published = make((try? Repository.read("keys/test-vector.dat")) ?? [])

    /// Other keys, as a client with the wrong key file has them.
    package static let other = make([UInt8](repeating: 0x5a, count: KeySchedule.materialLength))

    private static func make(_ material: [UInt8]) -> KeySchedule {
        precondition(material.count == KeySchedule.materialLength, "keys/test-vector.dat cannot be read")
        let keys = try? KeySchedule(material: material.span)
        guard let keys else { preconditionFailure("no memory for a key to test with") }
        return keys
    }
}
