// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
package import SystemPackage

/// Sockets with a path in the file system (unix(7)).
package enum UnixSocket {
    /// Opens a stream or datagram socket.
    ///
    /// - Returns: The descriptor, with the close-on-exec flag.
    package static func open(isDatagram: Bool = false) throws(SystemError) -> Int32 {
        let kind = isDatagram ? SOCK_DGRAM : SOCK_STREAM
        let descriptor = socket(AF_UNIX, Int32(kind.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("socket") }
        return descriptor
    }

    /// Binds a socket to a path (bind(2)).
    ///
    /// - Throws: The kernel's error, or ENAMETOOLONG if the path is too long for a socket.
    package static func bind(_ descriptor: Int32, to path: FilePath) throws(SystemError) {
        let status = try unsafe withAddress(of: path.string) { unsafe Glibc.bind(descriptor, $0, $1) }
        guard status == 0 else { throw SystemError("bind") }
    }

    /// Connects a socket to the one at a path (connect(2)).
    ///
    /// - Throws: The kernel's error, or ENAMETOOLONG if the path is too long for a socket.
    package static func connect(_ descriptor: Int32, to path: FilePath) throws(SystemError) {
        try connect(descriptor, to: path.string)
    }

    /// Connects a socket to the one with a name, which is a path, or an abstract name after a zero byte.
    static func connect(_ descriptor: Int32, to name: String) throws(SystemError) {
        let status = try unsafe withAddress(of: name) { unsafe Glibc.connect(descriptor, $0, $1) }
        guard status == 0 else { throw SystemError("connect") }
    }

    private static func withAddress<Result>(
        of name: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) throws(SystemError) -> Result {
        var address = sockaddr_un()
        let bytes = Array(name.utf8)
        guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw SystemError("socket path", ENAMETOOLONG)
        }
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (bytes[0] == 0 ? 0 : 1))
        return unsafe withUnsafePointer(to: address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, length) }
        }
    }

    /// Returns the user ID of the peer (SO_PEERCRED); nil if it is unknown.
    package static func peerUser(_ descriptor: Int32) -> UInt32? {
        var user: UInt32 = 0
        return unsafe clinux_peer_user(descriptor, &user) == 0 ? user : nil
    }

    /// Sets the timeout of reads and writes, in seconds.
    package static func setTimeout(_ descriptor: Int32, seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
    }

    /// Sends a text completely, or as one datagram.
    ///
    /// - Parameters:
    ///   - text: The text.
    ///   - descriptor: The socket.
    ///   - flags: Flags of send(2). With MSG_DONTWAIT, text that cannot be sent immediately is not sent.
    /// - Returns: Whether all of the text was sent.
    package static func send(_ text: String, to descriptor: Int32, flags: Int32 = 0) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = send(bytes, to: descriptor, flags: flags)
            guard count > 0 else { return false }
            bytes = bytes.dropFirst(count)
        }
        return true
    }

    /// Sends bytes as send(2) does, but never with SIGPIPE.
    ///
    /// - Returns: The number of bytes that were sent; -1 with errno set if that failed.
    package static func send(_ bytes: ArraySlice<UInt8>, to descriptor: Int32, flags: Int32 = 0) -> Int {
        unsafe bytes.withUnsafeBytes { bytes in
            uninterrupted { unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | flags) }
        }
    }

    /// Reads a line.
    ///
    /// - Returns: The line without its newline; nil if there is none, or if it is too long.
    package static func readLine(_ descriptor: Int32, maximumLength: Int) -> String? {
        var line: [UInt8] = []
        while line.count <= maximumLength {
            var byte: UInt8 = 0
            guard uninterrupted({ unsafe recv(descriptor, &byte, 1, 0) }) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
        return nil
    }
}
