// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Notifies the service manager of the daemon's state (sd_notify(3)), with a datagram to the socket in NOTIFY_SOCKET.
package enum ServiceManager {
    /// Reports that the daemon is ready.
    package static func ready() { notify("READY=1") }

    /// Reports that the daemon is stopping.
    package static func stopping() { notify("STOPPING=1") }

    private static func notify(_ state: String) {
        guard let value = unsafe getenv("NOTIFY_SOCKET") else { return }
        var name = unsafe String(cString: value)
        // A leading @ stands for the zero byte of an abstract address.
        if name.first == "@" { name = "\0" + name.dropFirst() }
        guard let descriptor = try? UnixSocket.open(isDatagram: true) else { return }
        defer { close(descriptor) }
        guard (try? UnixSocket.connect(descriptor, to: name)) != nil else { return }
        _ = UnixSocket.send(state, to: descriptor)
    }
}
