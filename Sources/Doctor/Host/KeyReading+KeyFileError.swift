// SPDX-License-Identifier: GPL-2.0-or-later
internal import KeyFiles
internal import SystemPackage

extension KeyReading {
    /// Splits an error into what is wrong and what to do about it.
    init(_ error: KeyFileError, path: String) {
        switch error {
        case .system("open", _, .noSuchFileOrDirectory):
            self = .bad(
                found: "there is no file \(path)",
                cure: "keygen \(path.shellWord), or copy the other host's file (scp -p)")
        case .system(_, _, .permissionDenied), .system(_, _, .notPermitted):
            self = .refused
        case .system(let call, _, let errno):
            self = .bad(
                found: "\(path) cannot be read: \(call): \(errno)",
                cure:
                    "copy the other host's file again (scp -p), or make another for both: rm \(path.shellWord) && keygen \(path.shellWord)"
            )
        case .notARegularFile:
            self = .bad(
                found: "\(path) is not a regular file", cure: "remove it, and copy the other host's key file (scp -p)")
        case .accessibleByOthers(_, let mode):
            self = .bad(
                found: "\(path) can be read or written by others (mode 0\(String(mode, radix: 8)))",
                cure: "chmod 600 \(path.shellWord); if others may have read it, make a new one for both hosts: "
                    + "keygen --force \(path.shellWord)")
        case .foreign(_, let owner):
            self = .foreign(owner)
        case .wrongLength(_, let length):
            self = .bad(
                found: "\(path) is \(length) bytes long, but a key is exactly \(KeyFile.length)",
                cure: "copy the other host's file again, as binary (scp -p), or make a new one for both: "
                    + "keygen --force \(path.shellWord)")
        case .notRandom:
            self = .bad(
                found: "all bytes of \(path) are the same, so it is not a key",
                cure: "make a new one for both hosts: keygen --force \(path.shellWord)")
        case .alreadyExists, .notSynchronised, .outOfMemory:
            self = .bad(found: "\(path): \(error)", cure: "try again with more free memory")
        }
    }
}
