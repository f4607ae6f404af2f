// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc

/// Notifies the service manager of the daemon's state (sd_notify(3)), with a datagram to the socket in NOTIFY_SOCKET.
package enum ServiceManager {
    /// Reports that the daemon is ready.
    package static func ready() { notify("READY=1") }

    /// Reports that the daemon is stopping.
    package static func stopping() { notify("STOPPING=1") }

    private static func notify(_ state: String) {
        guard let value = unsafe getenv("NOTIFY_SOCKET") else { return }
        var path = Array(unsafe String(cString: value).utf8)
        var address = sockaddr_un()
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard !path.isEmpty, path.count < capacity else { return }
        // A leading @ stands for the zero byte of an abstract address.
        if path[0] == UInt8(ascii: "@") { path[0] = 0 }
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)

        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let message = Array(state.utf8)
        unsafe withUnsafePointer(to: address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = unsafe sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL), address, length)
            }
        }
    }
}
