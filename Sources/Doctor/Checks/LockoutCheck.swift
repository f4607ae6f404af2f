// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings
internal import SystemPackage

/// A check for lockouts in force, which only the daemon knows.
enum LockoutCheck {
    private static let name = "lockouts"
    /// The greatest number of addresses that are reported.
    private static let most = 10

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .server, !examination.daemons.isEmpty else { return [] }
        guard let socket = subject.controlSocket else {
            return [Finding(name, .note, "not known, since the daemon has no control socket")]
        }
        switch examination.host.locks(socket) {
        case .refused:
            return [Examination.unseen(name, "who is locked out")]
        case .silent:
            return [Finding(name, .note, "not known, since the daemon does not answer at \(socket)")]
        case .list(let lines):
            return Examination.findings(
                lines.prefix(most).compactMap { finding($0, socket, examination) }, or: name, "nobody is locked out")
        }
    }

    /// The finding for one line of `tcpknock locks`, which begins with the address.
    private static func finding(_ line: String, _ socket: String, _ examination: Examination) -> Finding? {
        let words = line.split(separator: " ")
        guard let address = words.first else { return nil }
        let installation = examination.subject.installation
        let usual = ServerSettings.defaultControlSocket(of: installation.instance).string
        let flags = socket == usual ? installation.flags : ["--socket", socket]
        return Finding(
            name, .note, "\(address) is locked out \(words.dropFirst().joined(separator: " "))",
            cure:
                "wait; or, if it is not an attack: \((["tcpknock", "unlock"] + flags).joined(separator: " ")) \(address)"
        )
    }
}
