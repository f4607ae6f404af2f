// SPDX-License-Identifier: GPL-2.0-or-later
import Control
import Netfilter
import SystemPackage
import TestSupport

@testable import Doctor

/// A host that a test makes up: nothing is there but what the test puts there.
struct MadeUpHost {
    var files: [String: String] = [:]
    var refused: Set<String> = []
    var folders: [String: [String]] = [:]
    var statuses: [String: FileStatus] = [:]
    var links: [String: String] = [:]
    /// What tools say, by their command lines; there are no rules.
    var tools: [String: ToolRun] = [:]
    /// What the firewall scripts say of our rules: members of their JSON object, instead of those of a host without rules.
    var rules: [Role: [String: String]] = [:]
    var addresses: [InterfaceAddress] = []
    var clock: ClockState? = ClockState(isSynchronised: true, estimatedError: 100, unixSeconds: 1_800_000_000)
    var keys: [String: KeyReading] = [:]
    /// Whose key files are, if not of one who may have them.
    var owners: [String: UInt32] = [:]
    /// What daemons say of who is locked out, by their sockets.
    var locks: [String: LockReading] = [:]
    var signed: [SignedSocket] = []
    var userID: UInt32 = 0

    var host: Host {
        Host(
            read: { path in
                if refused.contains(path) { return .refused(.permissionDenied) }
                return files[path].map { .text($0, isComplete: true) } ?? .missing
            },
            list: { folders[$0] ?? [] },
            status: { path in
                if refused.contains(path) { return .failure(.permissionDenied) }
                return statuses[path].map { .success($0) } ?? .failure(.noSuchFileOrDirectory)
            },
            link: { links[$0] },
            run: { words in
                if words.count > 1, words[1] == "status" { return script(words) }
                return tools[words.joined(separator: " ")] ?? .missing
            }, addresses: { addresses }, clock: { clock },
            fingerprint: { path, owners in
                if let owner = self.owners[path], !owners.contains(owner) { return .foreign(owner) }
                return keys[path] ?? .refused
            },
            locks: { locks[$0] ?? .silent }, signed: { signed }, userID: userID,
            scripts: FirewallScript.installedFolder)
    }

    func examination(_ subject: DoctorSubject = DoctorSubject(.server)) -> Examination {
        Examination(
            host: host, firewall: Firewall(host, subject.installation, for: subject), processes: Processes(host),
            subject: subject)
    }

    /// Adds a process.
    mutating func run(_ number: Int, _ name: String, _ arguments: [String] = []) {
        folders["/proc", default: []].append("\(number)")
        files["/proc/\(number)/comm"] = name + "\n"
        files["/proc/\(number)/cmdline"] = ([name] + arguments).map { $0 + "\0" }.joined()
        links["/proc/\(number)/exe"] = "/usr/local/sbin/\(name)"
        links["/proc/\(number)/ns/net"] = "net:[1]"
        links["/proc/self/ns/net"] = "net:[1]"
    }

    /// Makes a tool say something.
    mutating func say(_ command: String, _ output: String) {
        tools[command] = .ended(status: 0, output: output, errors: "", isComplete: true)
    }

    // MARK: Rules

    /// What `status --json` says: `rules`, and what firewall/foreign.awk finds in what iptables-save and nft say.
    private func script(_ words: [String]) -> ToolRun {
        let role: Role = words[0].hasSuffix("client.sh") ? .client : .server
        let foreign = foreign(role, words).split(separator: "\n").joined(separator: ", ")
        var members = [
            "state": #""down""#, "instance": #""""#, "iptables": #""nft""#, "ports": "[]", "queue": #""""#,
            "mark": #""""#, "foreign": "[\(foreign)]",
        ]
        members.merge(rules[role] ?? [:]) { $1 }
        let text = members.map { "\"\($0)\": \($1)" }.joined(separator: ", ")
        return .ended(status: 3, output: "{\(text)}\n", errors: "", isComplete: true)
    }

    private func foreign(_ role: Role, _ words: [String]) -> String {
        func values(_ flag: String) -> [String] { zip(words, words.dropFirst()).filter { $0.0 == flag }.map(\.1) }
        let own =
            values("--instance").last.map { "TCPKNOCK-\($0)_-" }
            ?? (role == .server ? "TCPKNOCK-SRV-" : "TCPKNOCK-CLI-")
        let ports = values("--target-port").isEmpty ? ["22"] : values("--target-port")
        let variables = [
            "form=json", "only=", "role=\(role.rawValue)", "own=\(own)", "ports=\(ports.joined(separator: " "))",
            "queue=\(values("--queue-num").last ?? "100")", "mark=\(values("--mark").last ?? "0x1000")",
            "gateway=\(["own", nil].contains(values("--protect").last) ? "" : "yes")",
        ]
        let script = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
            .appending("firewall/foreign.awk")
        guard let folder = try? TemporaryFolder() else { return "no folder" }
        var operands: [String] = []
        func add(_ tool: String, _ assignments: [String]) {
            guard let output = tools[tool]?.output,
                let file = try? folder.write(tool.filter { $0 != " " }, Array(output.utf8), mode: 0o600)
            else { return }
            operands += assignments + [file.string]
        }
        for (family, name) in [(4, "iptables"), (6, "ip6tables")] {
            for program in ["\(name)-nft", name] {
                add(
                    "\(program)-save", ["kind=iptables", "family=\(family)", "backend=nft", "program=\(program)"])
            }
        }
        add("nft -a list ruleset", ["kind=nft"])
        let run = Host.runBounded(
            ["awk"] + variables.flatMap { ["-v", $0] } + ["-f", script.string] + operands, seconds: 20)
        guard case .ended(0, let output, "", true) = run else { return "awk: \(run)" }
        return output
    }

    /// Makes the script say that rules are up, in iptables-nft.
    mutating func putRules(_ more: [String: String] = [:]) {
        rules[.server] = [
            "state": #""up""#, "ports": "[22]", "queue": #""100""#, "mark": #""0x1000""#, "protect": #"["own"]"#,
            "iptables_in_use": #"["nft"]"#,
            "present":
                #"["IPv4 mangle -A TCPKNOCK-SRV-IN -i lo -j RETURN", "IPv6 raw -A TCPKNOCK-SRV-RAW -i lo -j RETURN"]"#,
        ].merging(more) { $1 }
    }

    /// The rules of others that the script finds to be in the way.
    func foreignRules(_ subject: DoctorSubject = DoctorSubject(.server)) -> [ForeignRule] {
        examination(subject).firewall.status?.foreign ?? []
    }
}

extension [Finding] {
    /// The worst of them.
    var severity: Severity { map(\.severity).max() ?? .ok }
}
