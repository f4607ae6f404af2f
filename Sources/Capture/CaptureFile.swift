// SPDX-License-Identifier: GPL-2.0-or-later
internal import CPcap
package import Diagnosis
internal import Glibc
package import Linux
internal import SystemPackage

/// A capture file, pcap or pcapng, as far as libpcap reads them (all interfaces must have one link layer).
package enum CaptureFile {
    /// Reads a file and calls `body` for each IP packet.
    ///
    /// - Parameters:
    ///   - path: The file; `-` is the standard input.
    ///   - body: Takes a packet, from its IP header on, and the time of its capture.
    /// - Returns: The number of frames that did not carry IP.
    /// - Throws: `FatalError`. Packets before any damage have been passed to `body`.
    package static func read(
        _ path: String, _ body: (Span<UInt8>, CaptureTime) -> Void
    ) throws(FatalError) -> Int {
        // libpcap's own message repeats the name of a missing file, and says nothing useful about a folder.
        if path != "-", let reason = FilePath(path).unreadability {
            throw FatalError(
                "\(reason)", at: path, status: reason == .noSuchFileOrDirectory ? .noInput : .noPermission)
        }
        var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
        guard
            let handle = unsafe pcap_open_offline_with_tstamp_precision(
                path, UInt32(PCAP_TSTAMP_PRECISION_NANO), &message)
        else {
            throw FatalError("no capture file: \(text(message))", at: path, status: .wrongData)
        }
        defer { unsafe pcap_close(handle) }
        let link = try unsafe linkLayer(of: handle, source: path)
        var others = 0
        while true {
            var header: UnsafeMutablePointer<pcap_pkthdr>?
            var data: UnsafePointer<UInt8>?
            let result = unsafe pcap_next_ex(handle, &header, &data)
            if result == PCAP_ERROR_BREAK { return others }
            guard result == 1 else {
                throw FatalError(unsafe String(cString: pcap_geterr(handle)), at: path, status: .wrongData)
            }
            let isIP = unsafe withPacket(header, data, link, body)
            if !isIP { others += 1 }
        }
    }
}

/// Returns the link layer of an open capture.
func linkLayer(of handle: OpaquePointer, source: String) throws(FatalError) -> LinkLayer {
    let number = unsafe pcap_datalink(handle)
    if let link = LinkLayer(rawValue: number) { return link }
    let name = unsafe pcap_datalink_val_to_name(number).map { unsafe String(cString: $0) }
    throw FatalError(
        "the link layer '\(name ?? "\(number)")' is not read here; Ethernet, Linux cooked and raw IP are", at: source,
        status: .wrongData)
}

/// Passes the IP packet in a frame from libpcap to `body`; false if there is none.
func withPacket(
    _ header: UnsafeMutablePointer<pcap_pkthdr>?, _ data: UnsafePointer<UInt8>?, _ link: LinkLayer,
    _ body: (Span<UInt8>, CaptureTime) -> Void
) -> Bool {
    guard let header = unsafe header?.pointee, let data = unsafe data else { return false }
    let frame = unsafe Span(_unsafeStart: data, count: Int(header.caplen))
    guard let offset = link.ipOffset(in: frame) else { return false }
    // With nanosecond precision, libpcap stores nanoseconds in the field for microseconds.
    let time = CaptureTime(seconds: Int64(header.ts.tv_sec), nanoseconds: Int64(header.ts.tv_usec))
    body(frame.extracting(offset..<frame.count), time)
    return true
}

/// Returns the text in a C buffer, up to its terminating zero.
func text(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
