// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings
internal import Wire

/// A check that the address in the client's codes can be the one that servers see.
enum AddressCheck {
    private static let name = "address"

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .client else { return [] }
        let own = examination.host.addresses()
        let translates = TranslationCheck.translates(examination)
        var findings = subject.natAddresses.compactMap { finding(nat: $0, own, translates) }
        if subject.natAddresses.isEmpty, !subject.isRoaming {
            let ipv4 = own.map(\.address).filter { $0.family == .ipv4 && $0.ipv4.map { $0 >> 24 != 127 } == true }
            if !ipv4.isEmpty, ipv4.allSatisfy(PrivateNetworks.contain) {
                findings.append(
                    Finding(
                        name, .note,
                        "this host has only private IPv4 addresses, so there may be a NAT between it and its servers",
                        cure: "if there is one, give tcpknock-client the address that servers see: --nat-ip ADDRESS"))
            }
        }
        return Examination.findings(findings, or: name, "codes are for an address that servers can see")
    }

    private static func finding(nat address: IPAddress, _ own: [InterfaceAddress], _ translates: Bool) -> Finding? {
        if let interface = own.first(where: { $0.address == address })?.interface {
            // Where this host itself translates the source, the new source may well be another of its own addresses.
            guard !translates else { return nil }
            return Finding(
                name, .warning,
                "--nat-ip \(address) is an address of this host itself, on \(interface): no NAT is needed for that",
                cure: "leave out --nat-ip; with it, masks are weaker than they need be")
        }
        guard PrivateNetworks.contain(address) else { return nil }
        return Finding(
            name, .warning, "--nat-ip \(address) is a private address, which servers on the Internet never see",
            cure:
                "give the outer address of the NAT: one that a server shows for your connection (echo $SSH_CONNECTION)")
    }
}
