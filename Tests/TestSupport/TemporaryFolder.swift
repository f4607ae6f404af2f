// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import SystemPackage

/// A folder of its own for a test, gone with this object.
package final class TemporaryFolder: Sendable {
    /// Where it is.
    package let path: FilePath

    /// Makes an empty folder that everybody may use, so that a test may do so under another user.
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

    /// The names of all that is in it, sorted.
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

    /// Writes a file and gives it exactly this mode.
    package func write(_ name: String, _ content: [UInt8], mode: UInt16 = 0o600) throws -> FilePath {
        let path = path.appending(name)
        let file = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        defer { try? file.close() }
        try file.writeAll(content)
        guard fchmod(file.rawValue, mode_t(mode)) == 0 else { throw Errno(rawValue: Glibc.errno) }
        return path
    }

    /// Reads a whole file.
    package func read(_ name: String) throws -> [UInt8] {
        let file = try FileDescriptor.open(path.appending(name), .readOnly)
        defer { try? file.close() }
        var content = [UInt8](repeating: 0, count: 1 << 18)
        let count = try content.withUnsafeMutableBytes { try file.read(into: $0) }
        return Array(content.prefix(count))
    }

    /// The permission bits of a file.
    package func mode(_ name: String) throws -> UInt16 {
        var status = stat()
        guard lstat(path.appending(name).string, &status) == 0 else { throw Errno(rawValue: Glibc.errno) }
        return UInt16(status.st_mode & 0o7777)
    }
}
