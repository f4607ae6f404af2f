// SPDX-License-Identifier: GPL-2.0-or-later
internal import Netfilter
internal import Settings
internal import Wire

/// A check for a service behind each protected port.
enum ServiceCheck {
    private static let name = "service"

    static func run(_ examination: Examination) -> [Finding] {
        guard examination.subject.role == .server else { return [] }
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map { examination.host.read($0) }
        guard tables.contains(where: { $0.text != nil }) else {
            return [Examination.unseen(name, "which ports have a service")]
        }
        let sockets = tables.flatMap { ListeningSocket.parse($0.text ?? "") }
        let findings =
            signing(examination)
            + examination.subject.targetPorts.compactMap { port in
                finding(
                    port, sockets.filter { $0.port == port },
                    isGateway: examination.forwards && examination.subject.isGateway)
            }
        let ports = Examination.text(ports: examination.subject.targetPorts)
        return Examination.findings(findings, or: name, "a service listens on \(ports)")
    }

    /// Checks for services that sign their segments with TCP MD5.
    ///
    /// The kernel does not report TCP-AO.
    private static func signing(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        let exempt = subject.exempt.compactMap { place -> IPPrefix? in
            if case .prefix(let prefix) = place { prefix } else { nil }
        }
        let signed = examination.host.signed().filter { $0.isListening }
        return subject.targetPorts.compactMap { port in
            let peers = signed.filter { $0.localPort == port }.flatMap(\.peers).filter { peer in
                !exempt.contains { $0.contains(peer.address) && $0.mappedLength <= peer.mappedLength }
            }
            guard !peers.isEmpty else { return nil }
            let places = (subject.exempt + peers.map { .prefix($0) }).map { "\"\($0)\"" }.joined(separator: ", ")
            return Finding(
                name, .error,
                "the service on port \(port) signs its segments (TCP MD5), and the knock changes what is signed: from "
                    + "\(peers.map(\.description).joined(separator: ", ")) nobody gets in",
                cure:
                    "name those in the configuration, from where no knock is needed then: exempt = [\(places)]; or take "
                    + "the port out of target_ports")
        }
    }

    private static func finding(_ port: UInt16, _ sockets: [ListeningSocket], isGateway: Bool) -> Finding? {
        if sockets.isEmpty {
            return isGateway
                ? Finding(
                    name, .note,
                    "nothing on this host listens on port \(port); that is right if it is a gateway to who does")
                : Finding(
                    name, .warning, "no service listens on port \(port) of this host, which is what is protected",
                    cure:
                        "start the service, or protect the port that it has: ss -tln shows them; for hosts behind this one: "
                        + "--protect ADDRESS")
        }
        guard sockets.allSatisfy(\.isLoopback) else { return nil }
        return Finding(
            name, .warning,
            "the service on port \(port) listens on loopback alone, where nobody from outside gets to and no knock is needed",
            cure: "let it listen on the address that clients use (ListenAddress of sshd_config)")
    }
}
