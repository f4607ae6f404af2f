// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Settings

/// A line of `server.sh guard --report` (firewall/server.sh, "the guard").
enum GuardLine: Equatable {
    /// What there is, in answer to a request of a number.
    case rules(UInt64, RulesReport)
    /// It could not look, and why.
    case unknown(UInt64, String)
    /// What it has done, for the log: whether that went wrong, and what.
    case says(isError: Bool, String)

    /// Reads a line without its end; nil if it is none of these.
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

/// Which firewall rules there are for a daemon.
struct RulesReport: Equatable {
    /// Whether they are all there.
    enum State: String {
        case up, partial, down
    }

    /// Whether they should be.
    enum Wish: String {
        /// They were put in, and nobody took them down.
        case yes
        /// Nobody put them in, or somebody took them down.
        case no
        /// They were put in, and come down again by themselves if nobody confirms them.
        case unconfirmed
    }

    let state: State
    let wanted: Wish
    /// Whether they are in the older iptables, which tells nobody of changes.
    let isLegacy: Bool
    /// The name of the rules; empty for those without one.
    let instance: String
    /// The ports that there are rules for.
    let ports: Set<UInt16>
    /// Those of them all of whose rules are there.
    let whole: Set<UInt16>

    /// Whose ports they protect; nil for everybody's, as rules of earlier versions do.
    let protect: Set<Place>?
    /// Who needs no knock.
    let exempt: Set<Place>

    /// The ports into which the kernel filter lets nobody, whatever the rules are.
    let closed: Set<UInt16>
    /// The ports that a rule of another program leads past the knock.
    let past: Set<UInt16>
    /// That rule, and whether `server.sh up` mends that by putting its own first again.
    let bypass: (rule: String, yields: Bool)

    /// Whether rules are missing that nobody took down.
    var isLoss: Bool { wanted == .yes && state != .up }

    /// Reads `state=up iptables=nft instance= wanted=yes ports=22,443 whole=22,443 protect=own exempt=`; what comes behind
    /// `whole` can be missing.
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

    /// Says whether both are the same.
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

    /// What is wrong with the rules of the ports of a configuration; none of those for which they are right.
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

    /// What a configuration says of the rules.
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
