// SPDX-License-Identifier: GPL-2.0-or-later
internal import CPcap
package import Diagnosis
internal import Glibc
package import Linux
package import Wire

/// Packets of an interface as they are on the wire.
///
/// Linux hands out sent packets after netfilter has changed them, and received packets before.
@safe
package final class LiveCapture {
    /// The most bytes that are kept of a packet; its headers are shorter.
    private static let snapshotLength: Int32 = 2048

    private let handle: OpaquePointer
    private let link: LinkLayer
    private let interface: String

    /// Starts a capture.
    ///
    /// - Parameters:
    ///   - interface: The name of the interface.
    ///   - filter: The filter expression (pcap-filter(7)).
    /// - Throws: `FatalError`.
    package init(interface: String, filter: String) throws(FatalError) {
        var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
        guard let handle = unsafe pcap_create(interface, &message) else {
            throw Self.failed("capture on \(interface)", text(message))
        }
        unsafe self.handle = handle
        self.interface = interface
        unsafe pcap_set_snaplen(handle, Self.snapshotLength)
        unsafe pcap_set_immediate_mode(handle, 1)
        unsafe pcap_set_tstamp_precision(handle, PCAP_TSTAMP_PRECISION_NANO)
        let result = unsafe pcap_activate(handle)
        guard result >= 0 else {
            let reason = unsafe String(cString: pcap_geterr(handle))
            unsafe pcap_close(handle)
            if result == PCAP_ERROR_PERM_DENIED { throw .notPermitted("capture on \(interface)") }
            let known = unsafe String(cString: pcap_statustostr(result))
            throw Self.failed("capture on \(interface)", reason.isEmpty ? known : reason)
        }
        do throws(FatalError) {
            link = try unsafe linkLayer(of: handle, source: interface)
            var program = unsafe bpf_program()
            guard unsafe pcap_compile(handle, &program, filter, 1, PCAP_NETMASK_UNKNOWN) == 0 else {
                throw Self.failed("capture filter '\(filter)'", unsafe String(cString: pcap_geterr(handle)))
            }
            defer { unsafe pcap_freecode(&program) }
            guard unsafe pcap_setfilter(handle, &program) == 0,
                unsafe pcap_setnonblock(handle, 1, &message) == 0
            else { throw Self.failed("capture on \(interface)", unsafe String(cString: pcap_geterr(handle))) }
        } catch {
            unsafe pcap_close(handle)
            throw error
        }
    }

    private static func failed(_ place: String, _ finding: String) -> FatalError {
        FatalError(finding, at: place, status: .system)
    }

    /// Returns the filter for connections to a server and for ICMP errors about them.
    package static func filter(to server: IPAddress, port: UInt16) -> String {
        "(host \(server) and tcp port \(port)) or \(server.family == .ipv4 ? "icmp" : "icmp6")"
    }

    deinit {
        unsafe pcap_close(handle)
    }

    /// Waits for packets and passes them on.
    ///
    /// - Parameters:
    ///   - milliseconds: The longest time to wait for the first packet.
    ///   - body: Takes an IP packet and the time of its capture.
    /// - Throws: `FatalError`, for instance if the interface is gone.
    package func receive(
        milliseconds: Int32, _ body: (Span<UInt8>, CaptureTime) -> Void
    ) throws(FatalError) {
        var waiting = pollfd(fd: unsafe pcap_get_selectable_fd(handle), events: Int16(POLLIN), revents: 0)
        unsafe poll(&waiting, 1, milliseconds)
        while true {
            var header: UnsafeMutablePointer<pcap_pkthdr>?
            var data: UnsafePointer<UInt8>?
            let result = unsafe pcap_next_ex(handle, &header, &data)
            if result == 0 { return }
            guard result == 1 else {
                throw Self.failed("capture on \(interface)", unsafe String(cString: pcap_geterr(handle)))
            }
            _ = unsafe withPacket(header, data, link, body)
        }
    }
}
