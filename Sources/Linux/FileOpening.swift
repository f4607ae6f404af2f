// SPDX-License-Identifier: GPL-2.0-or-later
public import SystemPackage

/// Ways to open a file for reading: in this process, or through another one that has the permission.
public enum FileOpening {
    /// Opens a file for reading, as open(2) does.
    public typealias Way = (FilePath, FileDescriptor.OpenOptions) throws(Errno) -> FileDescriptor

    /// Opens a file with the permissions of this process.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - options: The options, as for open(2).
    /// - Returns: The descriptor, to be closed by the caller.
    /// - Throws: The error of open(2).
    public static func open(
        _ path: FilePath, _ options: FileDescriptor.OpenOptions
    ) throws(Errno) -> FileDescriptor {
        do {
            return try FileDescriptor.open(path, .readOnly, options: options)
        } catch {
            throw Errno(error)
        }
    }
}
