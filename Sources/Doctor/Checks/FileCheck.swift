// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// A check that others can neither change the configuration nor give the daemon orders.
enum FileCheck {
    private static let name = "files"

    static func run(_ examination: Examination) -> [Finding] {
        let findings =
            content(examination) + configuration(examination) + controlSocket(examination) + pinFolder(examination)
        return Examination.findings(findings, or: name, "configuration and sockets are not open to others")
    }

    private static func content(_ examination: Examination) -> [Finding] {
        guard let error = examination.subject.configurationError else { return [] }
        return [
            Finding(
                name, .error, "the configuration cannot be used, so what follows may be about other values: \(error)",
                cure: "put it right; this says whether it is: \(examination.subject.daemonCommand) --check")
        ]
    }

    private static func configuration(_ examination: Examination) -> [Finding] {
        guard let path = examination.subject.configuration else { return [] }
        switch examination.host.status(path) {
        case .failure(.noSuchFileOrDirectory):
            return [
                Finding(
                    name, .error, "there is no configuration \(path)", cure: "write it, or leave out --config")
            ]
        case .failure:
            return [Examination.unseen(name, path)]
        case .success(let status):
            var findings: [Finding] = []
            if status.permissions & 0o022 != 0 {
                findings.append(
                    Finding(
                        name, .error, "others may change the configuration \(path), and so what the daemon runs",
                        cure: "chmod go-w \(path.shellWord)"))
            }
            if status.owner != 0, status.owner != examination.host.userID {
                findings.append(
                    Finding(
                        name, .error, "the configuration \(path) belongs to user \(status.owner)",
                        cure: "chown root \(path.shellWord)"))
            }
            let end = path.lastIndex(of: "/") ?? path.startIndex
            return findings
                + FolderTrust.findings(name, end == path.startIndex ? "/" : String(path[..<end]), examination)
        }
    }

    private static func controlSocket(_ examination: Examination) -> [Finding] {
        guard let path = examination.subject.controlSocket else { return [] }
        switch examination.host.status(path) {
        case .failure(.noSuchFileOrDirectory):
            guard !examination.daemons.isEmpty else { return [] }
            return [
                Finding(
                    name, .note, "the daemon runs, but has no control socket \(path)",
                    cure: "end it (kill \(examination.daemons[0].number)) and start it again: "
                        + examination.subject.daemonCommand)
            ]
        case .failure:
            return [Examination.unseen(name, path)]
        case .success(let status):
            guard status.kind == .socket else {
                return [
                    Finding(
                        name, .error, "\(path) is not a socket",
                        cure: "remove it, and start the daemon again: rm \(path.shellWord); "
                            + examination.subject.daemonCommand)
                ]
            }
            guard status.permissions & 0o002 != 0 else { return [] }
            return [
                Finding(
                    name, .error, "everybody on this host may give the daemon orders through \(path)",
                    cure: "chmod o-rwx \(path.shellWord)")
            ]
        }
    }

    /// Checks the permissions of the pin folder: the maps in it hold keys.
    private static func pinFolder(_ examination: Examination) -> [Finding] {
        guard examination.subject.role == .server else { return [] }
        let path = KernelFilterCheck.folder(examination)
        guard case .success(let status) = examination.host.status(path), status.permissions & 0o077 != 0 else {
            return []
        }
        return [
            Finding(
                name, .warning, "others may look into \(path), where the kernel filter keeps keys",
                cure: "chmod 700 \(path.shellWord)")
        ]
    }
}
