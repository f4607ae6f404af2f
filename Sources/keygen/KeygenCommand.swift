// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon
import KnockProtocol
import SystemPackage

@main
struct KeygenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen",
        abstract: "Makes the key file that a server and its clients share.",
        discussion: """
            Writes 65,536 random bytes with mode 0600 and prints their fingerprint. Copy the file to the other host \
            over a channel that you trust, and compare the fingerprints there with --fingerprint.
            """,
        version: version)

    @Argument(help: "The key file.")
    var path = "port_protector.dat"

    @Flag(help: "Replace a file that is there already.")
    var force = false

    @Flag(help: "Make no key, but print the fingerprint of the one that is there.")
    var fingerprint = false

    func validate() throws {
        if force, fingerprint { throw ValidationError("--force and --fingerprint cannot go together") }
        if path.isEmpty { throw ValidationError("the path of the key file is empty") }
    }

    func run() throws {
        let keys = try reportingErrors(of: "keygen") { () throws(FatalError) in
            do throws(KeyFileError) {
                let path = FilePath(self.path)
                return fingerprint ? try KeyFile.read(path) : try Keygen.write(path, replacing: force)
            } catch {
                throw FatalError(error)
            }
        }
        StandardOutput.write("\(keys.fingerprint)  \(path)\n")
    }
}
