// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// Returns a flow for the events of a test.
package func flow(_ port: UInt16 = 40_000) -> Flow {
    Flow(
        clientAddress: IPAddress(192, 0, 2, 10), clientPort: port, serverAddress: IPAddress(198, 51, 100, 22),
        serverPort: 22)
}
