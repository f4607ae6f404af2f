// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings
internal import Wire

/// A check that everything to be protected can be, and of who is let in without a knock.
enum ScopeCheck {
    private static let name = "scope"

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .server else { return [] }
        let findings = interfaces(examination) + families(examination) + gateway(examination) + exemptions(examination)
        let exempt = subject.exempt.isEmpty ? "nobody" : subject.exempt.map(\.description).joined(separator: ", ")
        let protected = subject.protect.map(\.description).joined(separator: ", ")
        return Examination.findings(findings, or: name, "protected: \(protected); exempt: \(exempt)")
    }

    private static func interfaces(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        let known = examination.host.interfaces
        guard !known.isEmpty else { return [] }
        func missing(_ places: [Place]) -> [String] {
            places.compactMap { if case .interface(let name) = $0, !known.contains(name) { name } else { nil } }
        }
        return missing(subject.protect).map {
            Finding(
                name, .warning, "there is no interface \($0), so what is to be protected by its name is not",
                cure: "look at the names that there are, and put 'protect' right: ip link")
        }
            + missing(subject.exempt).map {
                Finding(
                    name, .note, "there is no interface \($0), so nobody is exempt by its name",
                    cure: "look at the names that there are, or take it out of 'exempt': ip link")
            }
    }

    private static func families(_ examination: Examination) -> [Finding] {
        examination.families.filter { family in
            !examination.subject.protect.contains { ($0.family ?? family) == family }
        }.map { family in
            Finding(
                name, .warning,
                "'protect' names nothing of IPv\(family.rawValue), so nothing is protected over IPv\(family.rawValue)",
                cure: "add \"own\", or prefixes of that family, to 'protect'")
        }
    }

    private static func gateway(_ examination: Examination) -> [Finding] {
        let own = examination.host.addresses().map(\.address)
        guard !examination.forwards, !own.isEmpty else { return [] }
        return examination.subject.protect.compactMap { place in
            guard case .prefix(let prefix) = place, !own.contains(where: prefix.contains) else { return nil }
            return Finding(
                name, .note,
                "\(place) is to be protected, but this host forwards nothing, and no address of its own is among them",
                cure: "if it is to be a gateway: sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        }
    }

    private static func exemptions(_ examination: Examination) -> [Finding] {
        let ways =
            RouteTable.defaultInterfaces(examination.host.read(RouteTable.path).text ?? "")
            + RouteTable.defaultInterfacesOfIPv6(examination.host.read("/proc/net/ipv6_route").text ?? "")
        return examination.subject.exempt.compactMap { place in
            let what: String
            if case .interface(let interface) = place, ways.contains(interface) {
                what = "all that comes in by \(interface), where the default route leads to"
            } else if place.isOpenToTheWorld {
                what = "\(place), which is much of the world"
            } else {
                return nil
            }
            return Finding(
                name, .warning, "no knock is needed from \(what)",
                cure: "name in 'exempt' only the addresses that need it")
        }
    }
}
