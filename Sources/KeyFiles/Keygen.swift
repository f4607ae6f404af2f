// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
public import KnockProtocol
internal import Linux
public import SystemPackage

/// Generates key files.
public enum Keygen {
    /// Writes a new key file with mode 0600.
    ///
    /// - Parameters:
    ///   - path: The path of the key file.
    ///   - replacing: Whether an existing file is replaced.
    /// - Returns: The keys of the new file.
    /// - Throws: `KeyFileError`. Except for `notSynchronised`, `path` is then as it was before, and no other file is
    ///   left behind.
    public static func write(_ path: FilePath, replacing: Bool) throws(KeyFileError) -> KeySchedule {
        let key = try KeyMaterial.random()
        do throws(FileError) {
            let transaction = FileTransaction()
            try key.withBytes { bytes throws(FileError) in
                try transaction.add(path, bytes, replacing: replacing)
            }
            try transaction.commit()
        } catch {
            switch error {
            case .system(let call, let path, let errno): throw .system(call: call, path: path, errno)
            case .alreadyExists: throw .alreadyExists(path)
            case .notARegularFile: throw .notARegularFile(path)
            case .notSynchronised(_, let errno): throw .notSynchronised(path, errno)
            }
        }
        return try KeyFile.read(path)
    }
}
