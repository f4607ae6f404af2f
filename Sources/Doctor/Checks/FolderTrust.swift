// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux
internal import Program

/// A check of who may change the contents of a folder.
enum FolderTrust {
    /// Checks a folder and all folders above it.
    static func findings(_ check: String, _ folder: String, _ examination: Examination) -> [Finding] {
        var path = folder
        while true {
            if case .success(let status) = examination.host.status(path) {
                // In a folder with the sticky bit, others cannot replace files that are not theirs.
                let isSticky = status.permissions & 0o1000 != 0
                if status.permissions & 0o022 != 0, !isSticky {
                    let mode = String(status.permissions & 0o7777, radix: 8)
                    return [
                        Finding(
                            check, .error, "others may replace what is in the folder \(path) (mode 0\(mode))",
                            cure: "chmod go-w \(path.shellWord)")
                    ]
                }
                if !examination.trustedUsers.contains(status.owner) {
                    return [
                        Finding(
                            check, .error,
                            "the folder \(path) belongs to user \(status.owner), who may replace what is in it",
                            cure: "chown root \(path.shellWord)")
                    ]
                }
            }
            guard path != "/", let end = path.lastIndex(of: "/") else { return [] }
            path = end == path.startIndex ? "/" : String(path[..<end])
        }
    }
}
