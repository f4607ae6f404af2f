// SPDX-License-Identifier: GPL-2.0-or-later

/// Looks for a service behind each protected port.
enum ServiceCheck {
    private static let name = "service"

    static func run(_ examination: Examination) -> [Finding] {
        guard examination.subject.role == .server else { return [] }
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map { examination.host.read($0) }
        guard tables.contains(where: { $0.text != nil }) else {
            return [Examination.unseen(name, "which ports have a service")]
        }
        let sockets = tables.flatMap { ListeningSocket.parse($0.text ?? "") }
        let findings = examination.subject.targetPorts.compactMap { port in
            finding(
                port, sockets.filter { $0.port == port },
                isGateway: examination.forwards && examination.subject.isGateway)
        }
        let ports = Examination.text(ports: examination.subject.targetPorts)
        return Examination.findings(findings, or: name, "a service listens on \(ports)")
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
