// SPDX-License-Identifier: GPL-2.0-or-later
internal import Program
internal import Settings

/// A check that the daemon runs once, in this version, and with the intended values.
enum DaemonCheck {
    private static let name = "daemon"

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        let daemons = examination.daemons
        guard let first = daemons.first else {
            return [
                Finding(
                    name, .error, "\(subject.role.program) does not run: \(subject.role.withoutDaemon)",
                    cure: subject.daemonCommand)
            ]
        }
        var findings: [Finding] = []
        if daemons.count > 1 {
            let owner = QueueCheck.owner(examination)
            let needless = daemons.last { $0.number != owner } ?? first
            let numbers = daemons.map { "\($0.number)" }.joined(separator: ", ")
            findings.append(
                Finding(
                    name, .note, "\(subject.role.program) runs \(daemons.count) times: processes \(numbers)",
                    cure:
                        "end one (kill \(needless.number)), or give it a name, with which it has a "
                        + "configuration, a queue and rules of its own: --instance NAME"))
        }
        if daemons.contains(where: { !$0.isHere }) {
            findings.append(
                Finding(
                    name, .note,
                    "process \(first.number) is \(subject.role.program), but this user may not know of which network namespace",
                    cure: "run this as root"))
        }
        for daemon in daemons where daemon.isStopped {
            findings.append(
                Finding(
                    name, .error,
                    "process \(daemon.number) is stopped, and gives no verdicts: \(subject.role.withoutDaemon)",
                    cure: "kill -CONT \(daemon.number)"))
        }
        for daemon in daemons { findings += file(daemon, examination.host) }
        if daemons.count == 1 { findings += values(first, examination) }
        return Examination.findings(findings, or: name, "\(subject.role.program) runs, process \(first.number)")
    }

    private static func file(_ daemon: DaemonProcess, _ host: Host) -> [Finding] {
        let restart = "end it (kill \(daemon.number)) and start it again; open connections stay open meanwhile"
        if daemon.isDeleted {
            return [
                Finding(
                    name, .warning,
                    "process \(daemon.number) still runs a program that has been replaced or removed: "
                        + (daemon.program ?? ""), cure: restart)
            ]
        }
        guard let program = daemon.program else { return [] }
        // Do not run, perhaps as root, a file that another user could have put there.
        let path = "/proc/\(daemon.number)/exe"
        guard case .success(let status) = host.status(path), [0, host.userID].contains(status.owner),
            status.permissions & 0o022 == 0, let text = host.run([path, "--version"]).output
        else { return [] }
        let itsVersion = text.filter { !$0.isWhitespace }
        guard itsVersion != version else { return [] }
        return [
            Finding(
                name, .warning,
                "\(program), process \(daemon.number), is version \(itsVersion), but this is \(version)",
                cure: "install the same version of all programs (make install), then: \(restart)")
        ]
    }

    /// Compares the daemon's flags with the intended values.
    ///
    /// A flag that the daemon was not given has its default, unless a configuration may say otherwise.
    private static func values(_ daemon: DaemonProcess, _ examination: Examination) -> [Finding] {
        let subject = examination.subject
        let named = daemon.values(of: "--config").last
        let hasConfiguration =
            subject.configuration != nil
            || named.map { !$0.isEmpty } ?? (examination.host.read(subject.installation.usualFile) != .missing)
        let defaults = DoctorSubject(subject.role)
        var differences: [String] = []
        func compare(_ flag: String, _ meant: Set<String>, default value: String) {
            var given = Set(daemon.values(of: flag).map { flag == "--key-file" ? daemon.path($0) : $0 })
            if given.isEmpty, !hasConfiguration { given = [value] }
            if !given.isEmpty, given != meant {
                differences.append("\(flag) \(given.sorted().joined(separator: ", "))")
            }
        }
        compare("--queue-num", [subject.queueText], default: defaults.queueText)
        compare("--target-port", Set(subject.targetPorts.map(String.init)), default: String(defaults.targetPorts[0]))
        compare("--key-file", Set(subject.keyFiles.map(\.path)), default: defaults.keyFiles[0].path)
        if subject.role == .server {
            let given =
                daemon.values(of: "--mark").last.flatMap { try? ValueKind.markBit.parse($0) }
                ?? (hasConfiguration ? nil : defaults.mark)
            if let given, given != subject.mark { differences.append("--mark 0x\(String(given, radix: 16))") }
        }
        guard !differences.isEmpty else { return [] }
        return [
            Finding(
                name, .error,
                "process \(daemon.number) was started with other values than are examined: "
                    + differences.joined(separator: ", "),
                cure: "start it with what is meant: \(subject.daemonCommand)")
        ]
    }
}
