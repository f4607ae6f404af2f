// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux

/// A check that every key file holds a key of its own that nobody else can read or replace.
enum KeyCheck {
    private static let name = "key"

    static func run(_ examination: Examination) -> [Finding] {
        var findings: [Finding] = []
        var seen: [String: DoctorSubject.NamedKey] = [:]
        let owners = examination.trustedUsers
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
            findings += folders(above: key.path, examination)
        }
        return Examination.findings(findings, or: name, "there are no key files")
    }

    /// The finding for two key files with the same key.
    ///
    /// A server cannot tell such guests apart; for a client it is right if both targets are the same server.
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

    /// The finding for a key file that belongs to another user; the daemons refuse it.
    private static func foreign(_ path: String, _ owner: UInt32) -> Finding {
        return Finding(
            name, .error,
            "\(path) belongs to user \(owner), who is neither root nor the daemon's user, so the daemon does not take it",
            cure: "chown root \(path.shellWord); if that user may not know the key, make a new one for both hosts: "
                + "keygen --force \(path.shellWord)")
    }

    /// Checks the folders above the file: whoever may change one of them can put another key there.
    private static func folders(above path: String, _ examination: Examination) -> [Finding] {
        guard let end = path.lastIndex(of: "/") else { return [] }
        let folder = end == path.startIndex ? "/" : String(path[..<end])
        return FolderTrust.findings(name, folder, examination)
    }
}
