// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux
internal import Program
internal import Settings
internal import SystemPackage

/// The processes of the host.
package struct Processes: Sendable {
    /// The names of all processes (comm of proc(5), at most 15 bytes).
    package let names: Set<String>
    /// The daemons in this network namespace.
    package let daemons: [DaemonProcess]

    /// Reads all processes that this user may see.
    package init(_ host: Host) {
        var names: Set<String> = []
        var daemons: [DaemonProcess] = []
        let namespace = host.link(FilePath.ownNetworkNamespace.string)
        for number in host.list("/proc").compactMap({ Int32($0) }) {
            guard let name = host.read("/proc/\(number)/comm").text?.split(separator: "\n").first else { continue }
            names.insert(String(name))
            guard let role = Role.allCases.first(where: { $0.program == name }) else { continue }
            let itsNamespace = host.link("/proc/\(number)/ns/net")
            // If this user may not read the namespace, the process is taken to be in this one, and `isHere` is false. A
            // process that has ended has no namespace any more.
            guard itsNamespace.map({ $0 == namespace }) ?? Self.isHidden("/proc/\(number)/ns/net", host) else {
                continue
            }
            let program = host.link("/proc/\(number)/exe")
            let mark = " (deleted)"
            let isDeleted = program?.hasSuffix(mark) == true
            let path = isDeleted ? program.map { String($0.dropLast(mark.count)) } : program
            let (isStopped, parent) = Self.state(number, host)
            // A process can give itself any name.
            guard path.map({ $0.hasSuffix("/" + role.program) }) ?? true else { continue }
            daemons.append(
                DaemonProcess(
                    number: number, role: role,
                    program: path,
                    isDeleted: isDeleted, isStopped: isStopped, isHere: itsNamespace != nil,
                    folder: host.link("/proc/\(number)/cwd"), parent: parent, userID: Self.userID(number, host),
                    arguments: Self.arguments(host.read("/proc/\(number)/cmdline").text ?? "")))
        }
        self.names = names
        // A child of a daemon has the daemon's name until it executes another program.
        self.daemons = daemons.filter { daemon in
            !daemons.contains { $0.number == daemon.parent && $0.role == daemon.role }
        }
    }

    /// Splits a command line: each argument ends with a zero byte, even an empty one (proc(5)).
    private static func arguments(_ text: String) -> [String] {
        text.split(separator: "\0", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    /// Whether a link exists but this user may not read it.
    private static func isHidden(_ path: String, _ host: Host) -> Bool {
        switch host.status(path) {
        case .failure(.permissionDenied), .failure(.notPermitted): true
        default: false
        }
    }

    /// Reads the state and the parent.
    ///
    /// They follow the name, which is in parentheses and can contain anything (proc(5)).
    private static func state(_ number: Int32, _ host: Host) -> (isStopped: Bool, parent: Int32?) {
        let text = host.read("/proc/\(number)/stat").text ?? ""
        guard let end = text.lastIndex(of: ")") else { return (false, nil) }
        let words = text[end...].dropFirst().split(separator: " ").prefix(2)
        return (["T", "t"].contains(words.first), words.count == 2 ? Int32(words[1]) : nil)
    }

    /// Reads the effective user id: the second number of `Uid:` (proc(5)).
    private static func userID(_ number: Int32, _ host: Host) -> UInt32? {
        let lines = (host.read("/proc/\(number)/status").text ?? "").split(separator: "\n")
        let line = lines.first { $0.hasPrefix("Uid:") }?.split { $0 == "\t" || $0 == " " }
        return line.flatMap { $0.count > 2 ? UInt32($0[2]) : nil }
    }

    /// The daemons of an installation.
    package func daemons(of installation: Installation) -> [DaemonProcess] {
        daemons.filter { $0.installation == installation }
    }
}
