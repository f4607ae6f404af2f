// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Capture
import Diagnosis
import JSONText
import KnockProtocol
import Linux
internal import Program
import Settings
import SystemPackage
import Wire

struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Explains the handshakes in a capture file.",
        discussion: """
            Reads what 'tcpdump -w FILE' or Wireshark wrote, on either host or between them, and says of each TCP \
            handshake which code its SYN carries, whether the SYN/ACK proves the key, what the third ACK acknowledges, \
            and what became of it. A capture on the client shows packets as they are on the wire: SYNs with their \
            code, SYN/ACKs still masked.
            """)

    @Option(
        name: [.customLong("key-file"), .customLong("key_file")], parsing: .singleValue,
        help: ArgumentHelp(
            "A key to try; may be given again. (default: all keys of \(ClientSettings.defaultFile) and "
                + "\(ServerSettings.defaultFile), else \(SharedSettings.defaultKeyFile))", valueName: "path"))
    var keyFiles: [String] = []

    @Option(
        name: [.customLong("client-address"), .customLong("client_address")], parsing: .singleValue,
        help: ArgumentHelp(
            "An address that codes may be bound to beside the source of the SYN, such as that of the client's NAT; may "
                + "be given again.", valueName: "address"),
        transform: ValueKind.address.argument)
    var clientAddresses: [IPAddress] = []

    @Option(
        name: [.customLong("target-port"), .customLong("target_port")], parsing: .singleValue,
        help: ArgumentHelp(
            "Only handshakes with this port of the server; may be given again.", valueName: "port"),
        transform: ValueKind.port.argument)
    var targetPorts: [UInt16] = []

    @Option(
        help: ArgumentHelp(
            "Minutes to try before and after the time of the capture, 0 to 1440.", valueName: "minutes"))
    var slots = 3

    @Flag(help: "Print one JSON object.")
    var json = false

    @Argument(help: ArgumentHelp("A pcap or pcapng file; - is standard input.", valueName: "file"))
    var file: String

    func validate() throws {
        guard (0...1440).contains(slots) else {
            throw ValidationError("--slots \(slots): that is a number of minutes from 0 to 1440")
        }
    }

    func run() throws {
        try reportingErrors(of: "tcpknock trace") { () throws(FatalError) in
            let search = CodeSearch(keys: try keys(), slotOffsets: -slots...slots, extraAddresses: clientAddresses)
            var tracer = HandshakeTracer(search: search, targetPorts: Set(targetPorts))
            var damage: FatalError?
            do throws(FatalError) {
                _ = try CaptureFile.read(file) { tracer.take($0, at: $1) }
            } catch {
                // Show what was read before the damage.
                guard error.status == .wrongData, tracer.segments > 0 else { throw error }
                damage = error
            }
            StandardOutput.write(json ? Self.json(tracer) : Self.text(tracer))
            if let damage { throw damage }
        }
    }

    /// Returns the keys given on the command line, else all keys that this host's daemons are configured with.
    private func keys() throws(FatalError) -> [NamedKey] {
        var paths = keyFiles.map { FilePath($0) }
        if paths.isEmpty {
            let client = try EffectiveSettings<ClientSettings>(file: nil)
            let server = try EffectiveSettings<ServerSettings>(file: nil)
            if client.file != nil { paths += client.settings.keyFiles.map(\.path) }
            if server.file != nil { paths += server.settings.keyFiles.map(\.path) }
            if paths.isEmpty { paths = [SharedSettings.defaultKeyFile] }
        }
        var keys: [NamedKey] = []
        for path in paths where !keys.contains(where: { $0.name == "\(path)" }) {
            keys.append(NamedKey(name: "\(path)", keys: try KeySchedule.read(path)))
        }
        return keys
    }

    private static func text(_ tracer: HandshakeTracer) -> String {
        let summary = "\(tracer.handshakes.count) handshakes in \(tracer.segments) TCP segments"
        let ignored = tracer.ignoredHandshakes > 0 ? "; \(tracer.ignoredHandshakes) more found no room" : ""
        let unreadable = tracer.unreadablePackets > 0 ? "; \(tracer.unreadablePackets) other packets" : ""
        return tracer.handshakes.map { $0.text + "\n" }.joined() + summary + ignored + unreadable + "\n"
    }

    private static func json(_ tracer: HandshakeTracer) -> String {
        JSONValue.object([
            "handshakes": .array(tracer.handshakes.map(\.json)), "segments": .integer(tracer.segments),
            "ignored_handshakes": .integer(tracer.ignoredHandshakes),
            "unreadable_packets": .integer(tracer.unreadablePackets),
        ]).indentedText + "\n"
    }
}
