// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
package import SystemPackage

/// The scripts `server.sh` and `client.sh`, which know the firewall rules.
package enum FirewallScript {
    /// The folder of the scripts after `make install`.
    package static let installedFolder: FilePath = "/usr/local/lib/tcpknock"

    /// The folder of the scripts that belong to this program: beside the installed program, or in the source tree that
    /// it was built from; nil if there is none.
    package static func folder() -> FilePath? {
        guard let program = FilePath.ownProgram else { return nil }
        var candidates = [program.removingLastComponent().removingLastComponent().appending("lib/tcpknock")]
        if let build = program.components.lastIndex(where: { $0.string.hasPrefix(".build") }) {
            candidates.append(FilePath(root: program.root, program.components[..<build]).appending("firewall"))
        }
        return candidates.first { $0.appending("server.sh").isExecutable }
    }

    /// The folder of the scripts, for commands that people are told to type.
    package static var place: FilePath { folder() ?? installedFolder }

    /// The variables of this process's environment that the scripts read.
    package static var environment: [String: String] {
        var environment: [String: String] = [:]
        for name in ["TCPKNOCK_FIREWALL_STATE", "TCPKNOCK_BIN"] {
            environment[name] = unsafe getenv(name).map { unsafe String(cString: $0) }
        }
        return environment
    }
}
