// SPDX-License-Identifier: GPL-2.0-or-later
import Netfilter
import SystemPackage

@testable import Doctor

/// A host that a test makes up: nothing is there but what the test puts there.
struct MadeUpHost {
    var files: [String: String] = [:]
    var refused: Set<String> = []
    var folders: [String: [String]] = [:]
    var statuses: [String: FileStatus] = [:]
    var links: [String: String] = [:]
    /// What tools say, by their command lines; there are no rules.
    var tools: [String: ToolRun] = Dictionary(
        uniqueKeysWithValues: ["iptables-nft-save", "ip6tables-nft-save"].map {
            ($0, .ended(status: 0, output: "", errors: "", isComplete: true))
        })
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
            link: { links[$0] }, run: { tools[$0.joined(separator: " ")] ?? .missing }, addresses: { addresses },
            clock: { clock },
            fingerprint: { path, owners in
                if let owner = self.owners[path], !owners.contains(owner) { return .foreign(owner) }
                return keys[path] ?? .refused
            },
            locks: { locks[$0] ?? .silent }, signed: { signed }, userID: userID)
    }

    func examination(_ subject: DoctorSubject = DoctorSubject(.server)) -> Examination {
        Examination(host: host, firewall: Firewall(host), processes: Processes(host), subject: subject)
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
}

extension [Finding] {
    /// The worst of them.
    var severity: Severity { map(\.severity).max() ?? .ok }
}
