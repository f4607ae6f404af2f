// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import Linux

/// What changes a process as a whole, each in one of its own.
@Suite("Signals, service manager, wakers") struct ProcessTests {
    @Test(
        "Signals ask for something",
        arguments: [
            (SIGTERM, "stop"), (SIGINT, "stop"), (SIGHUP, "hangUp"), (SIGUSR1, "report"),
        ])
    func signals(_ number: Int32, _ request: String) async {
        await #expect(processExitsWith: .success) { [number = number as Int32, request = request as String] in
            let signals = try Signals()
            #expect(signals.next() == nil)
            var descriptor = pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)
            #expect(poll(&descriptor, 1, 0) == 0)
            raise(number)
            #expect(poll(&descriptor, 1, 0) == 1)
            #expect(signals.next().map { "\($0)" } == request)
            #expect(signals.next() == nil)
        }
    }

    @Test("A closed pipe is an error, not the end") func brokenPipe() async {
        await #expect(processExitsWith: .success) {
            _ = try Signals()
            var ends: [Int32] = [0, 0]
            try #require(pipe(&ends) == 0)
            close(ends[0])
            #expect(write(ends[1], "x", 1) == -1)
            #expect(errno == EPIPE)
        }
    }

    @Test("The service manager is told", arguments: ["", "@"])
    func serviceManager(_ prefix: String) async throws {
        let folder = try TemporaryFolder()
        // An abstract address begins with a zero byte and has no file.
        let name = prefix + folder.path.appending("notify").string
        await #expect(processExitsWith: .success) { [name = name as String] in
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            var path = Array(name.utf8)
            if path[0] == UInt8(ascii: "@") { path[0] = 0 }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
            let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
            let bound = withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
            }
            try #require(bound == 0)
            setenv("NOTIFY_SOCKET", name, 1)
            for (notify, expected) in [(ServiceManager.ready, "READY=1"), (ServiceManager.stopping, "STOPPING=1")] {
                notify()
                var buffer = [UInt8](repeating: 0, count: 64)
                let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                #expect(String(decoding: buffer.prefix(max(0, count)), as: UTF8.self) == expected)
            }
        }
    }

    @Test(
        "Without a service manager, or with one that is gone, nothing happens",
        arguments: [
            nil, "", "/nonexistent/notify", String(repeating: "x", count: 500),
        ])
    func noServiceManager(_ name: String?) async {
        await #expect(processExitsWith: .success) { [name = name as String?] in
            if let name { setenv("NOTIFY_SOCKET", name, 1) } else { unsetenv("NOTIFY_SOCKET") }
            ServiceManager.ready()
        }
    }

    @Test("A waker wakes until it is cleared") func waker() throws {
        let waker = try Waker()
        var descriptor = pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0)
        #expect(poll(&descriptor, 1, 0) == 0)
        waker.wake()
        waker.wake()
        #expect(poll(&descriptor, 1, 0) == 1)
        waker.clear()
        #expect(poll(&descriptor, 1, 0) == 0)
        // Clearing what is clear does not wait.
        waker.clear()
    }
}
