// SPDX-License-Identifier: GPL-2.0-or-later
public import Linux
public import SystemPackage

/// The reason why a key file cannot be read, trusted or written.
public enum KeyFileError: ReportableError, Equatable {
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

    public var fatal: FatalError {
        switch self {
        case .system("open", let path, .noSuchFileOrDirectory):
            FatalError(
                "there is no such file", at: "key file \(path)",
                cure: "make one with 'keygen \(path)', or copy the other host's", status: .noInput)
        case .system("create", let path, .noSuchFileOrDirectory):
            FatalError(
                "the folder that it is to be in does not exist", at: "key file \(path)", status: .cannotCreate)
        case .system("getrandom", _, let errno):
            FatalError("there is no randomness for a key: \(errno)", status: .inputOutput)
        case .system(let call, let path, let errno):
            FatalError(call, errno, at: "key file \(path)")
        case .notARegularFile(let path):
            FatalError(
                "not a regular file", at: "key file \(path)",
                cure: "a key must be a file of \(KeyFile.length) bytes", status: .wrongData)
        case .foreign(let path, let owner):
            FatalError(
                "it belongs to user \(owner), who is neither root nor the daemon's user", at: "key file \(path)",
                cure: "if that user may know the key, 'chown root \(path)', else make a new one on both hosts",
                status: .noPermission)
        case .accessibleByOthers(let path, let mode):
            FatalError(
                "group or others may read or write it (mode 0\(String(mode, radix: 8)))", at: "key file \(path)",
                cure: "if nobody has read it, 'chmod 600 \(path)', else make a new one on both hosts",
                status: .noPermission)
        case .wrongLength(let path, let length):
            FatalError(
                "\(length) bytes long, but a key is exactly \(KeyFile.length)", at: "key file \(path)",
                cure: "was it copied completely, and as binary?", status: .wrongData)
        case .notRandom(let path):
            FatalError(
                "all its bytes are the same, so it is not a key", at: "key file \(path)",
                cure: "make one with 'keygen'",
                status: .wrongData)
        case .alreadyExists(let path):
            FatalError(
                "exists already and was left as it is", at: "key file \(path)",
                cure: "--force replaces it (no host with the old key gets in then)", status: .cannotCreate)
        case .notSynchronised(let path, let errno):
            FatalError(
                "the key is in place, but may not survive a power failure: its folder could not be synchronised to the "
                    + "disk: \(errno)", at: "key file \(path)", status: .inputOutput)
        case .outOfMemory:
            FatalError("no memory for the key", status: .system)
        }
    }
}
