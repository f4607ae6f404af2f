// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Settings

/// A line of `server.sh guard --report` (firewall/server.sh, "the guard").
enum GuardLine: Equatable {
    /// The rules found, in answer to the request with this number.
    case rules(UInt64, RulesReport)
    /// The check failed, for this reason.
    case unknown(UInt64, String)
    /// A message about an action, for the log, and whether the action failed.
    case says(isError: Bool, String)

    /// Parses a line without its newline; nil if it is not one of these.
    init?(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard words.count == 3 else { return nil }
        switch words[0] {
        case "rules":
            guard let number = UInt64(words[1]), let report = RulesReport(words[2]) else { return nil }
            self = .rules(number, report)
        case "unknown":
            guard let number = UInt64(words[1]) else { return nil }
            self = .unknown(number, words[2].trimmingEnd)
        case "say":
            self = .says(isError: words[1] == "err", words[2].trimmingEnd)
        default:
            return nil
        }
    }
}

/// The firewall rules found for a daemon.
struct RulesReport: Equatable {
    /// Whether the rules are complete.
    enum State: String {
        case up, partial, down
    }

    /// Whether the rules are supposed to exist.
    enum Wish: String {
        /// They were installed and not taken down.
        case yes
        /// They were never installed, or were taken down.
        case no
        /// They were installed, but will be taken down automatically unless they are confirmed.
        case unconfirmed
    }

    let state: State
    let wanted: Wish
    /// Whether the rules are in iptables-legacy, which does not report changes.
    let isLegacy: Bool
    /// The instance name of the rules; empty if they have none.
    let instance: String
    /// The ports that have rules.
    let ports: Set<UInt16>
    /// The ports that have all of their rules.
    let whole: Set<UInt16>

    /// The destinations that the rules protect; nil for all destinations, as in rules of earlier versions.
    let protect: Set<Place>?
    /// The sources that need no knock.
    let exempt: Set<Place>

    /// The ports that the kernel filter closes to everybody, whatever the rules are.
    let closed: Set<UInt16>
    /// The ports that another program's rule lets bypass the knock.
    let past: Set<UInt16>
    /// That rule, and whether `server.sh up` fixes this by putting its own rules first again.
    let bypass: (rule: String, yields: Bool)

    /// Whether rules are missing although they were not taken down.
    var isLoss: Bool { wanted == .yes && state != .up }

    /// Parses `state=up iptables=nft instance= wanted=yes ports=22,443 whole=22,443 protect=own exempt=`.
    ///
    /// All that follows `whole` may be missing.
    init?(_ text: String) {
        var values: [Substring: Substring] = [:]
        let rule = text.ranges(of: " rule=").first
        for word in text[..<(rule?.lowerBound ?? text.endIndex)].split(separator: " ") {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { values[parts[0]] = parts[1] }
        }
        guard let state = values["state"].flatMap({ State(rawValue: String($0)) }),
            let wanted = values["wanted"].flatMap({ Wish(rawValue: String($0)) }),
            let ports = Self.ports(values["ports"]), let whole = Self.ports(values["whole"]),
            let instance = values["instance"], let protect = Self.places(values["protect"]),
            let exempt = Self.places(values["exempt"]), let closed = Self.ports(values["closed"] ?? ""),
            let past = Self.ports(values["past"] ?? "")
        else { return nil }
        self.state = state
        self.wanted = wanted
        isLegacy = values["iptables"] == "legacy"
        self.instance = String(instance)
        self.ports = ports
        self.whole = whole
        self.protect = protect.isEmpty ? nil : protect
        self.exempt = exempt
        self.closed = closed
        self.past = past
        bypass = (rule.map { String(text[$0.upperBound...]).trimmingEnd } ?? "", values["mended"] == "up")
    }

    /// Returns whether both reports are the same.
    static func == (left: RulesReport, right: RulesReport) -> Bool {
        left.state == right.state && left.wanted == right.wanted && left.isLegacy == right.isLegacy
            && left.instance == right.instance && left.ports == right.ports && left.whole == right.whole
            && left.protect == right.protect && left.exempt == right.exempt && left.closed == right.closed
            && left.past == right.past && left.bypass == right.bypass
    }

    private static func places(_ text: Substring?) -> Set<Place>? {
        let words = (text ?? "").split(separator: ",")
        let places = words.compactMap { Place(String($0)) }
        return places.count == words.count ? Set(places) : nil
    }

    private static func ports(_ text: Substring?) -> Set<UInt16>? {
        guard let text else { return nil }
        let words = text.split(separator: ",")
        let ports = words.compactMap { UInt16($0) }
        return ports.count == words.count ? Set(ports) : nil
    }

    /// Returns the faults of the configured ports' rules.
    ///
    /// Ports whose rules are right are left out.
    func faults(_ meant: Meant) -> [UInt16: Protection.Fault] {
        let isElsewhere = !(protect?.isSuperset(of: meant.protect) ?? true) || !exempt.isSubset(of: meant.exempt)
        var faults: [UInt16: Protection.Fault] = [:]
        for port in meant.ports {
            if !whole.contains(port) {
                faults[port] = ports.contains(port) ? .incomplete : .missing
            } else if past.contains(port) {
                faults[port] = .bypassed(bypass.rule, yields: bypass.yields)
            } else if isElsewhere {
                faults[port] = .elsewhere
            }
        }
        return faults
    }

    /// The rules that a configuration asks for.
    struct Meant: Equatable {
        var ports: [UInt16]
        var protect: Set<Place> = [.own]
        var exempt: Set<Place> = []
        /// The flags for `server.sh up`.
        var flags: [String] = []

        init(ports: [UInt16], protect: Set<Place> = [.own], exempt: Set<Place> = []) {
            (self.ports, self.protect, self.exempt) = (ports, protect, exempt)
        }

        init(_ settings: ServerSettings) {
            self.init(ports: settings.targetPorts, protect: Set(settings.protect), exempt: Set(settings.exempt))
            flags = settings.firewallFlags
        }
    }
}

extension String {
    fileprivate var trimmingEnd: String {
        var text = self
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
