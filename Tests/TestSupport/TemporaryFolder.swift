// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import SystemPackage

/// A temporary folder for a test; it is deleted with this object.
package final class TemporaryFolder: Sendable {
    /// The path of the folder.
    package let path: FilePath

    /// Creates an empty folder that everybody may use, so that a test can use it as another user.
    package init() throws(Errno) {
        var template = Array("/tmp/tcpknock-test.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: Glibc.errno) }
        path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
        chmod(path.string, 0o777)
    }

    deinit {
        chmod(path.string, 0o700)
        for name in (try? names) ?? [] { remove(path.appending(name).string) }
        rmdir(path.string)
    }

    /// The names of the files in the folder, sorted.
    package var names: [String] {
        get throws(Errno) {
            guard let folder = opendir(path.string) else { throw Errno(rawValue: Glibc.errno) }
            defer { closedir(folder) }
            var names: [String] = []
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                    name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { names.append(name) }
            }
            return names.sorted()
        }
    }

    /// Writes a file, sets exactly this mode, and returns the path.
    package func write(_ name: String, _ content: [UInt8], mode: UInt16 = 0o600) throws -> FilePath {
        let path = path.appending(name)
        let file = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        defer { try? file.close() }
        try file.writeAll(content)
        guard fchmod(file.rawValue, mode_t(mode)) == 0 else { throw Errno(rawValue: Glibc.errno) }
        return path
    }

    /// Reads a file; of a longer one, at most 262,144 bytes.
    package func read(_ name: String) throws -> [UInt8] {
        let file = try FileDescriptor.open(path.appending(name), .readOnly)
        defer { try? file.close() }
        var content = [UInt8](repeating: 0, count: 1 << 18)
        let count = try content.withUnsafeMutableBytes { try file.read(into: $0) }
        return Array(content.prefix(count))
    }

    /// Returns the permission bits of a file.
    package func mode(_ name: String) throws -> UInt16 {
        var status = stat()
        guard lstat(path.appending(name).string, &status) == 0 else { throw Errno(rawValue: Glibc.errno) }
        return UInt16(status.st_mode & 0o7777)
    }
}
