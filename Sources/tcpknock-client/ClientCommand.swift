// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Client
import Linux
internal import Program
internal import Settings

@main
struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcpknock-client",
        abstract: "Lets unmodified programs on this host reach ports that tcpknock-server protects.",
        discussion: """
            Changes what firewall/client.sh queues: adds the code to outgoing SYNs for the target ports, and unmasks \
            the ISN of SYN/ACKs whose server has proven that it holds the key. Connections to other servers on the \
            same ports go on as before.

            Says 'ready' on standard output when the queue is bound; logs to standard error. SIGHUP reads the \
            configuration again, SIGUSR1 logs the counters; 'tcpknock status' shows its state.
            """,
        version: version)

    @OptionGroup var flags: DaemonFlags<ClientSettings>

    func run() throws {
        try reportingErrors(of: "tcpknock-client") { () throws(FatalError) in
            if try flags.answer() { return }
            try ClientDaemon(flags).run()
        }
    }
}
