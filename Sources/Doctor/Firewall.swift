// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
internal import SystemPackage

/// What the firewall script of an installation says of its rules, and of those of others that get in the way.
package struct Firewall: Sendable {
    /// What the script says; nil if it could not be asked.
    package private(set) var status: FirewallStatus?
    /// The parts that could not be read, and why.
    package private(set) var unread: [String]
    /// What to do so that they can be read.
    let cure: String

    /// Asks the script, which changes nothing.
    ///
    /// - Parameters:
    ///   - host: The host.
    ///   - installation: The installation.
    ///   - subject: The values for which the rules of others are judged; nil for those that our rules were made with.
    package init(_ host: Host, _ installation: Installation, for subject: DoctorSubject? = nil) {
        guard host.userID == 0 else {
            (unread, cure) = (["only root may look at firewall rules"], "run this as root")
            return
        }
        guard let folder = host.scripts else {
            unread = ["\(FirewallScript.installedFolder) has no firewall scripts"]
            cure = "install tcpknock again, with its firewall scripts: make install"
            return
        }
        let script = folder.appending("\(installation.role.rawValue).sh").string
        cure = ([script, "status"] + installation.flags).joined(separator: " ")
        let words = [script, "status", "--json"] + installation.flags + (subject?.statusFlags ?? [])
        switch host.run(words) {
        case .ended(_, let output, let errors, _):
            status = FirewallStatus(output)
            // "server.sh: the program 'iptables' is missing; ..."
            let line = errors.split(separator: "\n").last.map(String.init) ?? "\(script) failed"
            unread = status?.unread ?? [line]
        case .timeout: unread = ["\(script) took too long"]
        case .missing: unread = ["\(script) cannot be run"]
        }
    }

    /// Whether the installation has rules.
    var hasRules: Bool { status.map { $0.state != .down } ?? false }
}
