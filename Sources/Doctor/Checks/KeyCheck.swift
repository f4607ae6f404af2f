// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux
internal import Program

/// Looks whether every key file is a key that nobody else can read or replace, and each another one.
enum KeyCheck {
    private static let name = "key"

    static func run(_ examination: Examination) -> [Finding] {
        var findings: [Finding] = []
        var seen: [String: DoctorSubject.NamedKey] = [:]
        let owners = owners(examination)
        for key in examination.subject.keyFiles {
            let title = key.name.isEmpty ? key.path : "\(key.path) (\(key.name))"
            switch examination.host.fingerprint(key.path, owners) {
            case .refused:
                findings.append(Examination.unseen(name, "\(title): it is not this user's"))
            case .bad(let found, let cure):
                findings.append(Finding(name, .error, found, cure: cure))
            case .foreign(let owner):
                findings.append(foreign(key.path, owner))
            case .good(let fingerprint):
                if let other = seen[fingerprint] {
                    findings.append(shared(key, title, other, examination.subject.role))
                } else {
                    findings.append(Finding(name, .ok, "\(title): fingerprint \(fingerprint)"))
                }
                seen[fingerprint] = seen[fingerprint] ?? key
            }
            findings += folders(above: key.path, examination.host)
        }
        return Examination.findings(findings, or: name, "there are no key files")
    }

    /// The server cannot tell guests with one key apart; to the client it is right for two targets of one server.
    private static func shared(
        _ key: DoctorSubject.NamedKey, _ title: String, _ other: DoctorSubject.NamedKey, _ role: Role
    ) -> Finding {
        let found = "\(title) is the same key as \(other.path)\(other.name.isEmpty ? "" : " (\(other.name))")"
        guard role == .client else {
            return Finding(
                name, .error, "\(found), so the daemon does not take them",
                cure: "make one of its own, and carry it to its other host: keygen --force \(key.path.shellWord)")
        }
        return Finding(
            name, .note, "\(found); that is right if they are one server",
            cure: "leave it if they are one server; of two, each needs a key of its own, made there and copied here")
    }

    /// To whom a key file may belong: root, the daemon's user, and who it is started as, which may be who looks.
    private static func owners(_ examination: Examination) -> [UInt32] {
        let user = (try? Identity.find(examination.subject.user))?.user
        return [0, examination.host.userID] + (user.map { [$0] } ?? []) + examination.daemons.compactMap(\.userID)
    }

    /// The daemons refuse it.
    private static func foreign(_ path: String, _ owner: UInt32) -> Finding {
        return Finding(
            name, .error,
            "\(path) belongs to user \(owner), who is neither root nor the daemon's user, so the daemon does not take it",
            cure: "chown root \(path.shellWord); if that user may not know the key, make a new one for both hosts: "
                + "keygen --force \(path.shellWord)")
    }

    /// Whoever may change a folder above the file can put another key there.
    private static func folders(above path: String, _ host: Host) -> [Finding] {
        guard let end = path.lastIndex(of: "/") else { return [] }
        let folder = end == path.startIndex ? "/" : String(path[..<end])
        return FolderTrust.findings(name, folder, host)
    }
}

/// Who may change what is in a folder.
enum FolderTrust {
    /// Looks at a folder and at all above it.
    static func findings(_ check: String, _ folder: String, _ host: Host) -> [Finding] {
        var path = folder
        while true {
            if case .success(let status) = host.status(path) {
                // In a folder with the sticky bit, others cannot touch what is not theirs.
                let isSticky = status.permissions & 0o1000 != 0
                if status.permissions & 0o022 != 0, !isSticky {
                    let mode = String(status.permissions & 0o7777, radix: 8)
                    return [
                        Finding(
                            check, .error, "others may replace what is in the folder \(path) (mode 0\(mode))",
                            cure: "chmod go-w \(path.shellWord)")
                    ]
                }
            }
            guard path != "/", let end = path.lastIndex(of: "/") else { return [] }
            path = end == path.startIndex ? "/" : String(path[..<end])
        }
    }
}
