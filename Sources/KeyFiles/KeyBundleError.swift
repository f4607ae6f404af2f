// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Linux
public import SystemPackage

/// The reason why a bundle cannot be used.
public enum KeyBundleError: Error, Equatable, CustomStringConvertible {
    /// A system call on the file failed.
    case system(call: String, FilePath, Errno)
    /// The file is a folder, link, device, pipe or socket.
    case notARegularFile(FilePath)
    /// The group or others may read or write the file; with the permission bits.
    case accessibleByOthers(FilePath, mode: UInt16)
    /// The file is not a bundle; with what is wrong.
    case malformed(FilePath, String)
    /// No locked memory is available for the key.
    case outOfMemory

    /// The message: what is wrong, where, and what to do.
    public var description: String {
        switch self {
        case .system(let call, let path, let errno): "bundle \(path): \(call): \(errno)"
        case .notARegularFile(let path): "bundle \(path): not a regular file"
        case .accessibleByOthers(let path, let mode):
            "bundle \(path): group or others may read or write it (mode 0\(String(mode, radix: 8))), and the key is in "
                + "it; if nobody has read it, 'chmod 600 \(path)', else make a new one on the server"
        case .malformed(let path, let what):
            "bundle \(path): \(what); was it copied completely? 'keygen --bundle' on the server makes one"
        case .outOfMemory: "no memory for the key"
        }
    }
}
