// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Linux
internal import Program
import Server
internal import Settings

@main
struct ServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcpknock-server",
        abstract: "Admits TCP connections to protected ports only from clients that hold a key.",
        discussion: """
            Gives the verdicts on what firewall/server.sh queues: SYNs to the protected ports must carry a right code, \
            SYN/ACKs go out with a masked ISN and the server's proof, and the third ACK must acknowledge the true ISN. \
            A wrong third ACK locks its sender out and closes its connections.

            Says 'ready' on standard output when the queue is bound; logs to standard error. SIGHUP reads the \
            configuration again, SIGUSR1 logs the counters; 'tcpknock status' shows its state.
            """,
        version: version)

    @OptionGroup var flags: DaemonFlags<ServerSettings>

    func run() throws {
        try reportingErrors(of: "tcpknock-server") { () throws(FatalError) in
            if try flags.answer() { return }
            try ServerDaemon(flags).run()
        }
    }
}
