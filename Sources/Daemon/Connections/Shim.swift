// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KnockEngine
import Logging
import NetfilterQueue
import Wire

final class ConntrackEvents: Sendable {
    init() throws(SystemError) {}
    func wait(milliseconds: Int32, _ body: (TrackedConnection) -> Void) throws(SystemError) -> (
        overflowed: Bool, isQuiet: Bool
    ) { sleep(1000); return (false, false) }
}
struct TrackedConnection { var mark: UInt32; var byteCount: ByteCount? }
extension ConntrackTable {
    static func forEach(_ body: (TrackedConnection) -> Void) throws(SystemError) {}
    static func remove(_ flow: Flow) throws(SystemError) -> Bool { false }
}
extension SocketDestroyer { static func destroy(_ flow: Flow) throws(SystemError) -> Bool { false } }
extension Flow {
    init(_ t: TrackedConnection) {
        self.init(
            clientAddress: IPAddress(0, 0, 0, 0), clientPort: 0, serverAddress: IPAddress(0, 0, 0, 0), serverPort: 0)
    }
}
enum ByteCounting { static func enable(_ l: Logger) {} }
