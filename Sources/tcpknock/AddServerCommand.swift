// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Linux
internal import Program
import Settings
import SystemPackage

struct AddServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add-server",
        abstract: "Adds a server from a bundle.",
        discussion: """
            The server makes the bundle with 'keygen --bundle'. Its key goes to the folder 'keys' beside the \
            configuration of tcpknock-client, which gets a [[target]] more.
            """)

    @Argument(help: "The bundle.")
    var bundle: String

    @Option(
        help: ArgumentHelp(
            "The configuration file of tcpknock-client. (default: \(ClientSettings.defaultFile))", valueName: "path"))
    var config: String?

    @Flag(help: "Replace the key that this host has for the server.")
    var force = false

    func validate() throws {
        if bundle.isEmpty || config?.isEmpty == true { throw ValidationError("an empty path") }
    }

    func run() throws {
        try reportingErrors(of: "tcpknock add-server") { () throws(FatalError) in
            let server = try NewServer(FilePath(bundle))
            let (keyFile, isOldTarget) = try server.add(
                to: config.map { FilePath($0) } ?? ClientSettings.defaultFile, replacing: force)
            let ports = server.head.ports.map(String.init).joined(separator: ", ")
            if isOldTarget {
                StandardError.write("there is a [[target]] for \(server.head.host) already, which was left as it is\n")
            }
            StandardOutput.write(
                """
                \(server.head.fingerprint)  \(keyFile)
                Delete \(bundle). Now have tcpknock-client read its configuration again: tcpknock reload
                Then connections to \(server.head.host) (ports \(ports)) knock; if the ports are new, the firewall rules \
                need them too: tcpknock-client --firewall-flags

                """)
        }
    }
}
