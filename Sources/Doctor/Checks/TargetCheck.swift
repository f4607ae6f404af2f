// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings
internal import Wire

/// A check of whether the names of the client's targets resolve to addresses at which it does not knock.
enum TargetCheck {
    private static let name = "targets"
    /// The greatest number of addresses that are looked up.
    ///
    /// A resolver that does not answer costs seconds for each.
    private static let most = 5

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .client, !subject.targets.isEmpty else { return [] }
        let prefixes = subject.targets.compactMap { if case .prefix(let prefix) = $0 { prefix } else { nil } }
        let known = subject.targets.compactMap { if case .name(let name) = $0 { name } else { nil } }
        let single = prefixes.filter { $0.mappedLength == 128 && $0.address.family == .ipv4 }.map(\.address)
        let findings = single.prefix(most).compactMap { address in
            let names = Self.names(of: address, examination.host).filter { !known.contains($0) }
            return names.lazy.compactMap { finding(address, $0, prefixes, examination.host) }.first
        }
        return Examination.findings(findings, or: name, "no name of a target leads past the knock")
    }

    /// The finding for a name that also has an IPv6 address that is not a target.
    ///
    /// A program given that name prefers IPv6, where the client does not knock and the server does not answer.
    private static func finding(_ address: IPAddress, _ name: String, _ prefixes: [IPPrefix], _ host: Host) -> Finding?
    {
        let others = ipv6Addresses(of: name, host).filter { other in !prefixes.contains { $0.contains(other) } }
        guard let other = others.first else { return nil }
        return Finding(
            Self.name, .warning,
            "the target \(address) is also \(name), which has the IPv6 address \(other), and no target is that: "
                + "ssh \(name) goes there without a knock and hangs (curl falls back to IPv4)",
            cure: "name it in the configuration: host = \"\(name)\", which is all its addresses; or use ssh -4 \(name)")
    }

    /// The names of an address, from /etc/hosts and the DNS.
    private static func names(of address: IPAddress, _ host: Host) -> [String] {
        // "192.0.2.1   server.example.org server"
        let lines = host.run(["getent", "hosts", "\(address)"]).output?.split(separator: "\n") ?? []
        return lines.flatMap { $0.split { $0 == " " || $0 == "\t" }.dropFirst() }.map { $0.lowercased() }
    }

    /// The IPv6 addresses of a name, without IPv4-mapped ones.
    private static func ipv6Addresses(of name: String, _ host: Host) -> [IPAddress] {
        guard !name.hasPrefix("-") else { return [] }
        // "2001:db8::1     STREAM server.example.org"
        let lines = host.run(["getent", "ahostsv6", name]).output?.split(separator: "\n") ?? []
        return lines.compactMap { $0.split(separator: " ").first }.filter { !$0.hasPrefix("::ffff:") }
            .compactMap { IPAddress(String($0)) }
    }
}
