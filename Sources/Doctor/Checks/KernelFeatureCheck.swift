// SPDX-License-Identifier: GPL-2.0-or-later
internal import Netfilter
internal import SystemPackage

/// A check that the kernel has what the daemons and their rules need.
///
/// It loads no module.
enum KernelFeatureCheck {
    private static let name = "kernel"

    /// A feature that a kernel may have.
    private struct Feature {
        /// Its name in messages.
        let title: String
        /// Its option in the kernel's configuration, without `CONFIG_`.
        let option: String
        /// The name of its module; empty if it cannot be one.
        let module: String
        /// How the kernel shows that the feature is loaded: a file and a line in it, or only the file.
        let sign: (file: String, line: String?)
        /// Whether tcpknock cannot work without it.
        let isNeeded: Bool
        /// The consequence of its absence, for messages.
        let without: String
    }

    private static let matches = "/proc/net/ip_tables_matches"
    private static let targets = "/proc/net/ip_tables_targets"

    private static let forBoth = [
        Feature(
            title: "queues (nfnetlink_queue)", option: "NETFILTER_NETLINK_QUEUE", module: "nfnetlink_queue",
            sign: (QueueListing.path.string, nil), isNeeded: true, without: "the daemon gets no packets"),
        Feature(
            title: "target NFQUEUE", option: "NETFILTER_XT_TARGET_NFQUEUE", module: "xt_NFQUEUE",
            sign: (targets, "NFQUEUE"), isNeeded: true, without: "no rule can queue a packet"),
    ]
    private static let forServer = [
        Feature(
            title: "connection tracking", option: "NF_CONNTRACK", module: "nf_conntrack",
            sign: ("/proc/sys/net/netfilter/nf_conntrack_max", nil), isNeeded: true,
            without: "verified connections cannot be known"),
        Feature(
            title: "connection marks (connmark)", option: "NETFILTER_XT_CONNMARK", module: "xt_connmark",
            sign: (matches, "connmark"), isNeeded: true, without: "verified connections cannot be known"),
        Feature(
            title: "packet marks (mark)", option: "NETFILTER_XT_MARK", module: "xt_mark", sign: (matches, "mark"),
            isNeeded: true, without: "the daemon's verdict cannot be kept"),
        Feature(
            title: "match conntrack", option: "NETFILTER_XT_MATCH_CONNTRACK", module: "xt_conntrack",
            sign: (matches, "conntrack"), isNeeded: true, without: "the rules do not go in"),
        Feature(
            title: "match addrtype", option: "NETFILTER_XT_MATCH_ADDRTYPE", module: "xt_addrtype",
            sign: (matches, "addrtype"), isNeeded: true, without: "the rules do not go in"),
        Feature(
            title: "match u32", option: "NETFILTER_XT_MATCH_U32", module: "xt_u32", sign: (matches, "u32"),
            isNeeded: true, without: "the rules do not go in"),
        Feature(
            title: "INET_DIAG_DESTROY", option: "INET_DIAG_DESTROY", module: "", sign: ("", nil), isNeeded: false,
            without: "connections of who is locked out are cut off, but stay open at the service until it notices"),
        Feature(
            title: "BPF", option: "BPF_SYSCALL", module: "", sign: ("/proc/sys/kernel/unprivileged_bpf_disabled", nil),
            isNeeded: false, without: "there is no kernel filter, and the daemon judges floods itself"),
        Feature(
            title: "match bpf", option: "NETFILTER_XT_MATCH_BPF", module: "xt_bpf", sign: (matches, "bpf"),
            isNeeded: false, without: "there is no kernel filter, and the daemon judges floods itself"),
    ]

    static func run(_ examination: Examination) -> [Finding] {
        let host = examination.host
        let features = forBoth + (examination.subject.role == .server ? forServer : [])
        let release = (host.read("/proc/sys/kernel/osrelease").text ?? "").filter { !$0.isWhitespace }
        let configuration = configuration(host, release)
        let modules = host.read("/lib/modules/\(release)/modules.dep").text ?? ""
        var findings: [Finding] = []
        var unknown: [Feature] = []
        for feature in features {
            switch presence(feature, host, configuration, modules) {
            case true: continue
            case nil: unknown.append(feature)
            case false:
                findings.append(
                    Finding(
                        name, feature.isNeeded ? .error : .note,
                        "the kernel has no \(feature.title): \(feature.without)",
                        cure: "use a kernel that has CONFIG_\(feature.option), such as your distribution's"))
            }
        }
        let needed = unknown.filter(\.isNeeded).map(\.title)
        if !needed.isEmpty {
            findings.append(
                Finding(
                    name, .note,
                    "it is not known whether the kernel has what is needed: \(needed.joined(separator: ", "))",
                    cure: "'\(examination.subject.script("up"))' finds out, and changes nothing if one is missing"))
        }
        let useful = unknown.filter { !$0.isNeeded }.map(\.title)
        if !useful.isEmpty {
            findings.append(
                Finding(
                    name, .note,
                    "it is not known whether the kernel has what is useful: \(useful.joined(separator: ", "))"))
        }
        return Examination.findings(findings, or: name, "Linux \(release) has all that is needed")
    }

    /// The text of the kernel's configuration; nil if it is not available.
    private static func configuration(_ host: Host, _ release: String) -> String? {
        if let text = host.read("/boot/config-\(release)").text { return text }
        let compressed = "/proc/config.gz"
        guard host.read(compressed) != .missing else { return nil }
        return host.run(["gzip", "-dc", compressed]).output
    }

    /// Whether a feature is present; nil if that cannot be determined.
    private static func presence(_ feature: Feature, _ host: Host, _ configuration: String?, _ modules: String) -> Bool?
    {
        if !feature.sign.file.isEmpty {
            let reading = host.read(feature.sign.file)
            if let line = feature.sign.line {
                if reading.text?.split(separator: "\n").contains(where: { $0 == line }) == true { return true }
            } else if reading != .missing {
                return true
            }
        }
        if !feature.module.isEmpty, modules.contains("/\(feature.module).ko") { return true }
        guard let configuration else { return nil }
        // A feature that is configured as a module is missing if that module is not installed.
        let lines = configuration.split(separator: "\n")
        if lines.contains(where: { $0 == "CONFIG_\(feature.option)=y" }) { return true }
        return lines.contains { $0 == "CONFIG_\(feature.option)=m" } && modules.isEmpty ? nil : false
    }
}
