// SPDX-License-Identifier: GPL-2.0-or-later
internal import Program
internal import Settings

/// A running daemon of this project.
package struct DaemonProcess: Equatable, Sendable {
    /// Its process id.
    package let number: Int32
    /// Server or client.
    package let role: Role
    /// The path of its program, without the kernel's ` (deleted)`; nil if this user may not know.
    package let program: String?
    /// Whether the program's file has been replaced or removed since it started.
    package let isDeleted: Bool
    /// Whether it is stopped by a signal or a debugger, so that it gives no verdicts.
    package let isStopped: Bool
    /// Whether it is known to be in this network namespace.
    ///
    /// False means that this user may not know; daemons known to be elsewhere are left out.
    package let isHere: Bool
    /// Its working folder, which relative paths on its command line start from; nil if this user may not know.
    package let folder: String?
    /// The process id of its parent; nil if unknown.
    package let parent: Int32?
    /// Its effective user id; nil if unknown.
    package let userID: UInt32?
    /// Its command line, beginning with the program's name.
    package let arguments: [String]

    /// The installation that the daemon belongs to.
    package var installation: Installation {
        Installation(role, instance: role == .server ? Self.instance(values(of: "--instance").last) : nil)
    }

    /// The name of a server, if it is a valid one: a process can have anything on its command line.
    private static func instance(_ text: String?) -> String? { text.flatMap { try? ValueKind.instance.parse($0) } }

    /// The values of a flag on its command line, as `--flag value` or `--flag=value`.
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

    /// A path on its command line, made absolute if possible.
    package func path(_ text: String) -> String {
        text.hasPrefix("/") ? text : folder.map { "\($0)/\(text)" } ?? text
    }
}
