// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
internal import KeyFiles
import KnockProtocol
import Linux
internal import Program
import Settings
import SystemPackage

@main
struct KeygenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen",
        abstract: "Makes the key file that a server and its clients share.",
        discussion: """
            Writes 65,536 random bytes with mode 0600 and prints their fingerprint. Copy the file to the other host \
            over a channel that you trust, and compare the fingerprints there with --fingerprint.

            With --bundle, on the server: makes a key for one more guest, adds the guest to the configuration of \
            tcpknock-server, and writes a file with the key and the settings for the guest's host, where \
            'tcpknock add-server' takes it.
            """,
        version: version)

    @Argument(help: "The key file. (default: port_protector.dat)")
    var path: String?

    @Flag(help: "Replace an existing file.")
    var force = false

    @Flag(help: "Print the fingerprint of an existing key file; make none.")
    var fingerprint = false

    @Option(
        help: ArgumentHelp(
            "Make a key for a new guest of this name, and a bundle to carry to the guest's host.", valueName: "name"))
    var bundle: String?

    @Option(
        help: ArgumentHelp(
            "With --bundle: the address or name at which the guest reaches this server.", valueName: "host"),
        transform: HostArgument.parse)
    var host: TargetHost?

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "With --bundle: a port that the guest reaches; may be given again. (default: all target ports)",
            valueName: "port"),
        transform: ValueKind.port.argument)
    var port: [UInt16] = []

    @Flag(help: "With --bundle: the guest may knock from behind a NAT, or from changing addresses.")
    var roaming = false

    @Option(help: ArgumentHelp("With --bundle: the file to carry. (default: NAME.tcpknock)", valueName: "path"))
    var output: String?

    @Option(
        help: ArgumentHelp(
            "With --bundle: the configuration file of tcpknock-server; keys go to the folder 'guests' beside it. "
                + "(default: \(ServerSettings.defaultFile))", valueName: "path"))
    var config: String?

    func validate() throws {
        if force, fingerprint { throw ValidationError("--force and --fingerprint cannot go together") }
        if path?.isEmpty == true { throw ValidationError("the path of the key file is empty") }
        guard let bundle else {
            if host != nil || !port.isEmpty || roaming || output != nil || config != nil {
                throw ValidationError("--host, --port, --roaming, --output and --config need --bundle")
            }
            return
        }
        if force || fingerprint || path != nil {
            throw ValidationError(
                "a path, --force and --fingerprint cannot go with --bundle, which makes a key of its own")
        }
        if host == nil { throw ValidationError("--bundle needs --host, the address or name of this server") }
        if output?.isEmpty == true || config?.isEmpty == true { throw ValidationError("an empty path") }
        if !NewGuest.isFileName(bundle) {
            throw ValidationError(
                "'\(bundle)' is not a name for a bundle: give 1 to 64 letters, digits, '.', '_' and '-', and begins with "
                    + "a letter or digit")
        }
        if Set(port).count < port.count { throw ValidationError("--port was given twice for the same port") }
    }

    func run() throws {
        try reportingErrors(of: "keygen") { () throws(FatalError) in
            if let bundle, let host {
                let guest = NewGuest(name: bundle, host: host, ports: port, roaming: roaming)
                let output = FilePath(self.output ?? "\(bundle).tcpknock")
                let keys = try guest.add(to: config.map { FilePath($0) } ?? ServerSettings.defaultFile, output)
                StandardOutput.write(
                    """
                    \(keys.fingerprint)  \(output)
                    Now have tcpknock-server read its configuration again: tcpknock reload
                    Carry \(output) to the guest's host over a channel that you trust, and delete it here. There:
                    tcpknock add-server \(output.lastComponent?.string ?? "FILE")

                    """)
            } else {
                try makeKey()
            }
        }
    }

    private func makeKey() throws(FatalError) {
        let path = FilePath(self.path ?? "port_protector.dat")
        let keys = try fatally { () throws(KeyFileError) in
            fingerprint ? try KeyFile.read(path) : try Keygen.write(path, replacing: force)
        }
        StandardOutput.write("\(keys.fingerprint)  \(path)\n")
    }
}
