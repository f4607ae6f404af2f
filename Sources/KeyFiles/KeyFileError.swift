// SPDX-License-Identifier: GPL-2.0-or-later
public import SystemPackage

/// The reason why a key file cannot be read, trusted or written.
public enum KeyFileError: Error, Equatable, CustomStringConvertible {
    /// A system call on the path failed.
    case system(call: String, path: FilePath, Errno)
    /// The path is a folder, device, pipe or socket.
    case notARegularFile(FilePath)
    /// The file belongs to a user who could read or change it; with the user ID.
    case foreign(FilePath, owner: UInt32)
    /// The group or others may read or write the file; with the permission bits.
    case accessibleByOthers(FilePath, mode: UInt16)
    /// The file is not exactly 65,536 bytes long; with its length.
    case wrongLength(FilePath, Int64)
    /// All bytes are the same.
    case notRandom(FilePath)
    /// The file exists, and replacing it was not requested.
    case alreadyExists(FilePath)
    /// The key is in place, but its name in the folder may not survive a power failure.
    case notSynchronised(FilePath, Errno)
    /// No locked memory is available for the key.
    case outOfMemory

    /// The message: what is wrong, where, and what to do.
    public var description: String {
        switch self {
        case .system(let call, let path, let errno) where errno == .noSuchFileOrDirectory && call == "open":
            "key file \(path): there is no such file; make one with 'keygen \(path)', or copy the other host's"
        case .system("create", let path, .noSuchFileOrDirectory):
            "key file \(path): the folder that it is to be in does not exist"
        case .system("getrandom", _, let errno):
            "there is no randomness for a key: \(errno)"
        case .system(let call, let path, let errno):
            "key file \(path): \(call): \(errno)"
        case .notARegularFile(let path):
            "key file \(path): not a regular file; a key must be a file of \(KeyFile.length) bytes"
        case .foreign(let path, let owner):
            "key file \(path): it belongs to user \(owner), who is neither root nor the daemon's user; "
                + "if that user may know the key, 'chown root \(path)', else make a new one on both hosts"
        case .accessibleByOthers(let path, let mode):
            "key file \(path): group or others may read or write it (mode 0\(String(mode, radix: 8))); "
                + "if nobody has read it, 'chmod 600 \(path)', else make a new one on both hosts"
        case .wrongLength(let path, let length):
            "key file \(path): \(length) bytes long, but a key is exactly \(KeyFile.length); "
                + "was it copied completely, and as binary?"
        case .notRandom(let path):
            "key file \(path): all its bytes are the same, so it is not a key; make one with 'keygen'"
        case .alreadyExists(let path):
            "\(path) exists already and was left as it is; --force replaces it (no host with the old key gets in then)"
        case .notSynchronised(let path, let errno):
            "key file \(path): the key is in place, but may not survive a power failure: its folder could not be "
                + "synchronised to the disk: \(errno)"
        case .outOfMemory:
            "no memory for the key"
        }
    }
}
