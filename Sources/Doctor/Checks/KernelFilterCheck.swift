// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import KernelFilter
internal import SystemPackage
internal import Wire

/// A check that the daemon and the rules agree on the program that drops wrong codes in the kernel.
enum KernelFilterCheck {
    private static let name = "kernel-filter"

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .server else { return [] }
        let path = folder(examination) + "/syn_code"
        let pinned = examination.host.status(path)
        let isRunning = !examination.daemons.isEmpty
        let noted = examination.firewall.status?.kernelFilter ?? ""
        if !noted.hasSuffix("/syn_code_hook"), let link = leftLink(examination) {
            return [
                Finding(
                    name, .warning,
                    "the kernel filter is attached to the network (\(link)), but the rules that it came with are gone",
                    cure: "\(subject.script("up")); or, to have it detached, \(subject.script("down"))")
            ]
        }
        switch pinned {
        case _ where !noted.isEmpty && (isRunning || (try? pinned.get()) == nil):
            return [ruleFinding(noted, examination)]
        case .success where !isRunning:
            return [
                Finding(
                    name, .warning,
                    "the program at \(path) is left over: tcpknock-server, which gives it keys and time, "
                        + "does not run", cure: "\(subject.daemonCommand), which takes it over")
            ]
        case .success:
            return [
                Finding(
                    name, .note, "tcpknock-server has put a filter into the kernel, but the rules do not use it",
                    cure: subject.script("up"))
            ]
        case .failure(.permissionDenied), .failure(.notPermitted):
            return [Examination.unseen(name, subject.pinFolder)]
        case .failure:
            return [withoutFilter(examination)]
        }
    }

    /// The folder in which the daemon pins its program, named as in `KernelFilter.pinFolder` after the network
    /// namespace (`net:[4026531840]`) and the first queue.
    static func folder(_ examination: Examination) -> String {
        let subject = examination.subject
        return "\(subject.pinFolder)/\(examination.networkNamespace)-\(subject.queues.lowerBound)"
    }

    private static func withoutFilter(_ examination: Examination) -> Finding {
        let folder = examination.subject.pinFolder
        let points = (examination.host.read("/proc/self/mounts").text ?? "").split(separator: "\n").compactMap { line in
            let columns = line.split(separator: " ")
            return columns.count >= 3 && columns[2] == "bpf" ? String(columns[1]) : nil
        }
        guard points.contains(where: { folder == $0 || folder.hasPrefix($0 + "/") }) else {
            return Finding(
                name, .note, "no BPF file system is mounted above \(folder), so there can be no filter in the kernel",
                cure:
                    "\(KernelFilter.mountCommand), then start tcpknock-server again, then \(examination.subject.script("up"))"
            )
        }
        return Finding(name, .ok, "not used; the daemon judges all SYNs")
    }

    /// A link that is pinned in the daemon's folder; nil if there is none.
    private static func leftLink(_ examination: Examination) -> String? {
        (links(in: folder(examination) + "/") + gateLinks(in: folder(examination) + "/")).first {
            (try? examination.host.status($0).get()) != nil
        }
    }

    /// Whether the gate of a family is attached.
    ///
    /// It lets nobody in while there are no rules.
    static func isGateClosed(_ family: IPFamily, _ examination: Examination) -> Bool {
        guard examination.subject.role == .server else { return false }
        let end = "-ipv\(family.rawValue)"
        return gateLinks(in: folder(examination) + "/").filter { $0.hasSuffix(end) }.allSatisfy {
            (try? examination.host.status($0).get()) != nil
        }
    }

    /// The pinned links that keep the program attached, one for each family.
    private static func links(in folder: String) -> [String] { ["link-ipv4", "link-ipv6"].map { folder + $0 } }

    /// The pinned links that keep the gate attached, one for each family and hook.
    private static func gateLinks(in folder: String) -> [String] {
        ["link-in-ipv4", "link-in-ipv6", "link-forward-ipv4", "link-forward-ipv6"].map { folder + $0 }
    }

    /// The first of the files that does not exist.
    private static func firstMissing(_ paths: [String], _ examination: Examination) -> String? {
        paths.first { path in
            if case .failure(.noSuchFileOrDirectory) = examination.host.status(path) { true } else { false }
        }
    }

    /// The finding where the rules use the program at a path, and it exists.
    private static func finding(using path: String, _ examination: Examination) -> Finding {
        let isUsed = Finding(name, .ok, "the rules use \(path)")
        guard path.hasSuffix("/syn_code_hook") else { return isUsed }
        let folder = String(path.dropLast("syn_code_hook".count))
        let cure = examination.subject.script("up")
        if let missing = firstMissing(links(in: folder), examination) {
            return Finding(
                name, .warning, "\(path) is not attached to the network any more: \(missing) is missing", cure: cure)
        }
        let whatFor = "while another program has flushed the firewall rules, a right code alone gets a connection"
        if firstMissing([folder + "syn_code_gate"], examination) != nil {
            return Finding(
                name, .note, "the rules use \(path), but there is no gate behind it: \(whatFor)",
                cure:
                    "start tcpknock-server again, then \(cure); if it stays so, its log says what the kernel has against it"
            )
        }
        if let missing = firstMissing(gateLinks(in: folder), examination) {
            return Finding(
                name, .warning, "the gate behind \(path) is not closed (\(missing) is missing): \(whatFor)", cure: cure)
        }
        return isUsed
    }

    /// The finding where the rules use a program.
    ///
    /// It is the one at the noted path if the file there still has the noted inode number.
    private static func ruleFinding(_ path: String, _ examination: Examination) -> Finding {
        let subject = examination.subject
        guard let inode = examination.firewall.status?.kernelFilterInode else {
            return Finding(name, .warning, "the rules name no file of the kernel filter", cure: subject.script("up"))
        }
        switch examination.host.status(path) {
        case .success(let status) where status.inode == inode:
            return finding(using: path, examination)
        case .success:
            return Finding(
                name, .warning, "the rules hold an old program: tcpknock-server has pinned another at \(path)",
                cure: subject.script("up"))
        case .failure(.noSuchFileOrDirectory):
            return Finding(
                name, .warning,
                "the rules hold a program that is no longer pinned at \(path), and gets no keys any more",
                cure: "start tcpknock-server, then \(subject.script("up"))")
        case .failure:
            return Examination.unseen(name, path)
        }
    }
}
