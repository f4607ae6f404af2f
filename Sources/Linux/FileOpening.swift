// SPDX-License-Identifier: GPL-2.0-or-later
public import SystemPackage

/// Ways to open a file for reading: by this process, or by another that may.
public enum FileOpening {
    /// Opens a file for reading, as open(2) does.
    public typealias Way = (FilePath, FileDescriptor.OpenOptions) throws(Errno) -> FileDescriptor

    /// Opens a file as this process may.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - options: As for open(2).
    /// - Returns: Its descriptor, to be closed.
    /// - Throws: Why it cannot be opened.
    public static func open(
        _ path: FilePath, _ options: FileDescriptor.OpenOptions
    ) throws(Errno) -> FileDescriptor {
        do {
            return try FileDescriptor.open(path, .readOnly, options: options)
        } catch {
            throw errno(of: error)
        }
    }
}
