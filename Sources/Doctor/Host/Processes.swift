// SPDX-License-Identifier: GPL-2.0-or-later
internal import Program
internal import SystemPackage

/// A running daemon of this project.
package struct DaemonProcess: Equatable, Sendable {
    /// Its process id.
    package let number: Int32
    /// Server or client.
    package let role: Role
    /// The path of its program, without the mark for deleted ones; nil if this user may not know.
    package let program: String?
    /// Whether the program's file has been replaced or removed since it started.
    package let isDeleted: Bool
    /// Whether it is stopped by a signal or a debugger, and gives no verdicts.
    package let isStopped: Bool
    /// Whether it is known to be in this network namespace; others are left out.
    package let isHere: Bool
    /// The folder that relative paths on its command line begin at; nil if this user may not know.
    package let folder: String?
    /// The process that started it, as far as is known.
    package let parent: Int32?
    /// Whom it runs as, as far as is known.
    package let userID: UInt32?
    /// Its command line, the program's name first.
    package let arguments: [String]

    /// What it is the daemon of.
    package var installation: Installation {
        Installation(role, instance: role == .server ? Self.instance(values(of: "--instance").last) : nil)
    }

    /// Every process can have anything on its command line.
    private static func instance(_ text: String?) -> String? { text.flatMap { try? InstanceName.parse($0) } }

    /// The values of a flag on its command line, in either spelling.
    package func values(of flag: String) -> [String] {
        var found: [String] = []
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard let name = parts.first, name.replacing("_", with: "-") == flag else { continue }
            if parts.count == 2 {
                found.append(String(parts[1]))
            } else if let value = rest.first {
                found.append(value)
            }
        }
        return found
    }

    /// A path on its command line, from the root if it can be known.
    package func path(_ text: String) -> String {
        text.hasPrefix("/") ? text : folder.map { "\($0)/\(text)" } ?? text
    }
}

/// The processes of the host.
package struct Processes: Sendable {
    /// All names (comm of proc(5): at most 15 bytes), each once.
    package let names: Set<String>
    /// The daemons in this network namespace.
    package let daemons: [DaemonProcess]

    /// Looks at all that this user may see.
    package init(_ host: Host) {
        var names: Set<String> = []
        var daemons: [DaemonProcess] = []
        let namespace = host.link("/proc/self/ns/net")
        for number in host.list("/proc").compactMap({ Int32($0) }) {
            guard let name = host.read("/proc/\(number)/comm").text?.split(separator: "\n").first else { continue }
            names.insert(String(name))
            guard let role = Role.allCases.first(where: { $0.program == name }) else { continue }
            let itsNamespace = host.link("/proc/\(number)/ns/net")
            // Who may not know takes it for one of here, and says so. One that has ended has none any more.
            guard itsNamespace.map({ $0 == namespace }) ?? Self.isHidden("/proc/\(number)/ns/net", host) else {
                continue
            }
            let program = host.link("/proc/\(number)/exe")
            let mark = " (deleted)"
            let isDeleted = program?.hasSuffix(mark) == true
            let path = isDeleted ? program.map { String($0.dropLast(mark.count)) } : program
            let (isStopped, parent) = Self.state(number, host)
            // Every process can give itself any name.
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
        // What a daemon starts has its name until it becomes another program.
        self.daemons = daemons.filter { daemon in
            !daemons.contains { $0.number == daemon.parent && $0.role == daemon.role }
        }
    }

    /// Each argument ends with a zero byte, an empty one too (proc(5)).
    private static func arguments(_ text: String) -> [String] {
        text.split(separator: "\0", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    /// Whether a link is there, and this user may not read it.
    private static func isHidden(_ path: String, _ host: Host) -> Bool {
        switch host.status(path) {
        case .failure(.permissionDenied), .failure(.notPermitted): true
        default: false
        }
    }

    /// State and parent are behind the name, which is in brackets and can hold anything (proc(5)).
    private static func state(_ number: Int32, _ host: Host) -> (isStopped: Bool, parent: Int32?) {
        let text = host.read("/proc/\(number)/stat").text ?? ""
        guard let end = text.lastIndex(of: ")") else { return (false, nil) }
        let words = text[end...].dropFirst().split(separator: " ").prefix(2)
        return (["T", "t"].contains(words.first), words.count == 2 ? Int32(words[1]) : nil)
    }

    /// The effective user: the second number of `Uid:` (proc(5)).
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
