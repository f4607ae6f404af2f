// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
package import SystemPackage

/// The client side of a daemon's control socket.
package enum ControlClient {
    /// The time in which a daemon must answer, in seconds.
    private static let patience = 20

    /// Sends a request to a daemon and reads the answer.
    ///
    /// - Parameters:
    ///   - path: The daemon's socket.
    ///   - request: The request.
    ///   - form: The form of the answer.
    ///   - write: Receives the answer piece by piece.
    /// - Returns: The exit status that the daemon asks for; 0 if all is well.
    /// - Throws: `FatalError` if there is no answer, or if the daemon refuses the request.
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
        else { throw FatalError("the daemon did not answer", at: "\(path)", status: .unavailable) }
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
            throw FatalError(refusal, status: ExitStatus(rawValue: status) ?? .unavailable)
        }
        return status
    }

    /// Sends a request that is answered by a sentence.
    ///
    /// - Returns: The sentence, without a newline.
    /// - Throws: `FatalError` if there is no answer, or if the daemon refuses the request.
    package static func answer(_ path: FilePath, _ request: ControlRequest) throws(FatalError) -> String {
        var answer = ""
        try ask(path, request, .text) { answer += $0 }
        while answer.last?.isNewline == true { answer.removeLast() }
        return answer
    }

    private static func connect(_ path: FilePath) throws(FatalError) -> Int32 {
        do throws(SystemError) {
            let descriptor = try UnixSocket.open()
            // The daemon may have a queue of waiting clients.
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
            FatalError("only root and the daemon's own user may ask it", at: "\(path)", status: .noPermission)
        case ENOENT, ECONNREFUSED:
            FatalError("no daemon answers there", at: "\(path)", cure: "is it running?", status: .unavailable)
        case EAGAIN:
            FatalError("the daemon did not answer within \(patience) s", at: "\(path)", status: .unavailable)
        default:
            FatalError("\(error)", at: "\(path)", status: .unavailable)
        }
    }
}
