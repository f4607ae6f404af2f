// SPDX-License-Identifier: GPL-2.0-or-later
public import SystemPackage

/// The reason why files could not be put in place.
public enum FileError: ReportableError, Equatable {
    /// A system call on the path failed.
    case system(call: String, FilePath, Errno)
    /// There is a file at the path, and replacing it was not requested.
    case alreadyExists(FilePath)
    /// The file to be replaced is a folder, link, device, pipe or socket.
    case notARegularFile(FilePath)
    /// All files are in place, but their names in a folder may not survive a power failure.
    case notSynchronised(folder: FilePath, Errno)

    public var fatal: FatalError {
        switch self {
        case .system(let call, let path, let errno): FatalError(call, errno, at: "\(path)")
        case .alreadyExists(let path):
            FatalError("exists already, and was left as it is", at: "\(path)", status: .cannotCreate)
        case .notARegularFile(let path):
            FatalError("not a regular file, and was left as it is", at: "\(path)", status: .cannotCreate)
        case .notSynchronised(let folder, let errno):
            FatalError(
                "fsync: \(errno): all files are in place, but may not survive a power failure", at: "\(folder)",
                status: .inputOutput)
        }
    }
}
