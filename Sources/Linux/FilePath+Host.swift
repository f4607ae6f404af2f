// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import SystemPackage

extension FilePath {
    /// The file of the program that this process runs; nil if /proc is not mounted.
    package static var ownProgram: FilePath? { ownProgramLink.linkTarget }

    /// The link to that file, which can be run even if the file has been replaced or removed (proc(5)).
    static let ownProgramLink: FilePath = "/proc/self/exe"

    /// The file that stands for the network namespace of this process (namespaces(7)).
    package static let ownNetworkNamespace: FilePath = "/proc/self/ns/net"

    /// Reads a file from its beginning; never waits for the other end of a pipe.
    ///
    /// - Parameter limit: The most bytes to read.
    /// - Returns: The bytes; fewer than `limit` only if the file ends before.
    /// - Throws: The error of open(2) or pread(2).
    package func content(limit: Int) throws(Errno) -> [UInt8] {
        let file = try FileOpening.open(self, [.closeOnExec, .nonBlocking])
        defer { try? file.close() }
        return try file.content(limit: limit)
    }

    /// The path that a symbolic link contains; nil if it cannot be read.
    package var linkTarget: FilePath? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = unsafe withPlatformString { unsafe readlink($0, &buffer, buffer.count) }
        guard length > 0 else { return nil }
        return FilePath(String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    /// The sorted names in a folder; none if it cannot be read.
    package var entries: [String] {
        guard let folder = unsafe withPlatformString({ unsafe opendir($0) }) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Whether there is something at the path that this process may reach.
    package var exists: Bool { absence == nil }

    /// Why there is nothing at the path that this process may reach; nil if there is something.
    package var absence: Errno? { refusal(F_OK) }

    /// Why this process may not read the file; nil if it may.
    package var unreadability: Errno? { refusal(R_OK) }

    /// Whether this process may execute the file.
    package var isExecutable: Bool { refusal(X_OK) == nil }

    private func refusal(_ mode: Int32) -> Errno? {
        unsafe withPlatformString { unsafe access($0, mode) } == 0 ? nil : Errno(rawValue: errno)
    }
}
