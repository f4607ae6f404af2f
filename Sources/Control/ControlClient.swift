// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
package import Program
package import SystemPackage

/// The other end of a daemon's control socket.
package enum ControlClient {
    /// How long a daemon may take to answer, in seconds.
    private static let patience = 20

    /// Whether there is something at a path; a daemon that ended in bad order leaves its socket behind.
    package static func exists(_ path: FilePath) -> Bool {
        unsafe path.withPlatformString { unsafe access($0, F_OK) } == 0
    }

    /// Asks a daemon.
    ///
    /// - Parameters:
    ///   - path: Its socket.
    ///   - request: What to ask.
    ///   - form: How the answer is to look.
    ///   - write: Gets the answer piece by piece.
    /// - Returns: The exit status that the daemon asks for: 0 if all is well.
    /// - Throws: Why there is no answer, or what the daemon says against it.
    @discardableResult
    package static func ask(
        _ path: FilePath, _ request: ControlRequest, _ form: ControlRequest.Form, write: (String) -> Void
    ) throws(FatalError) -> Int32 {
        let descriptor = try connect(path)
        defer { close(descriptor) }
        UnixSocket.setTimeout(descriptor, seconds: request == .watch ? 0 : patience)
        guard UnixSocket.send(request.line(form), to: descriptor),
            let first = UnixSocket.readLine(descriptor, maximumLength: 64),
            let (isDone, status) = ControlAnswer.head(first)
        else { throw FatalError("\(path): the daemon did not answer", status: EX_UNAVAILABLE) }
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        var refusal = ""
        while true {
            let count = uninterrupted { unsafe recv(descriptor, &buffer, buffer.count, 0) }
            guard count > 0 else { break }
            let text = String(decoding: buffer.prefix(count), as: UTF8.self)
            if isDone { write(text) } else { refusal += text }
        }
        guard isDone else {
            while refusal.last?.isNewline == true { refusal.removeLast() }
            throw FatalError(refusal, status: status)
        }
        return status
    }

    /// Asks a daemon for something that is answered by a sentence.
    ///
    /// - Returns: The sentence, without the end of its line.
    /// - Throws: Why there is no answer, or what the daemon says against it.
    package static func answer(_ path: FilePath, _ request: ControlRequest) throws(FatalError) -> String {
        var answer = ""
        try ask(path, request, .text) { answer += $0 }
        while answer.last?.isNewline == true { answer.removeLast() }
        return answer
    }

    private static func connect(_ path: FilePath) throws(FatalError) -> Int32 {
        do throws(SystemError) {
            let descriptor = try UnixSocket.open()
            // There may be a line of those who ask.
            UnixSocket.setTimeout(descriptor, seconds: patience)
            do throws(SystemError) {
                try UnixSocket.connect(descriptor, to: path)
            } catch {
                close(descriptor)
                throw error
            }
            return descriptor
        } catch {
            throw failure(path, error)
        }
    }

    private static func failure(_ path: FilePath, _ error: SystemError) -> FatalError {
        switch error.number {
        case EACCES, EPERM:
            FatalError("\(path): only root and the daemon's own user may ask it", status: EX_NOPERM)
        case ENOENT, ECONNREFUSED:
            FatalError("\(path): no daemon answers there; is it running?", status: EX_UNAVAILABLE)
        case EAGAIN:
            FatalError("\(path): the daemon did not answer within \(patience) s", status: EX_UNAVAILABLE)
        default:
            FatalError("\(path): \(error.description)", status: EX_UNAVAILABLE)
        }
    }
}
