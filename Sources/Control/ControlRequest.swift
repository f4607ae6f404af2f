// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Settings
package import Wire

/// What can be asked of a daemon over its socket: one line of text, the form of the answer before it.
///
///     text status
///     json unlock 192.0.2.7
package enum ControlRequest: Equatable, Sendable {
    /// How the daemon is doing.
    case status
    /// Who is locked out.
    case locks
    /// Let an address in again.
    case unlock(IPAddress)
    /// Read the configuration again.
    case reload
    /// Tell each step of each handshake from now on, until the connection is closed.
    case watch

    /// How the answer looks.
    package enum Form: String, Sendable {
        /// For people.
        case text
        /// One JSON value a line.
        case json
    }

    /// The longest request in bytes.
    package static let maximumLength = 256

    /// Reads a line without its end.
    package static func parse(_ line: String) -> (form: Form, request: ControlRequest)? {
        let words = line.split(separator: " ").map(String.init)
        guard words.count >= 2, let form = Form(rawValue: words[0]) else { return nil }
        switch (words[1], words.count) {
        case ("status", 2): return (form, .status)
        case ("locks", 2): return (form, .locks)
        case ("reload", 2): return (form, .reload)
        case ("watch", 2): return (form, .watch)
        case ("unlock", 3): return IPAddress(words[2]).map { (form, .unlock($0)) }
        default: return nil
        }
    }

    /// The line for a request, with its end.
    package func line(_ form: Form) -> String {
        let text =
            switch self {
            case .status: "status"
            case .locks: "locks"
            case .unlock(let address): "unlock \(address)"
            case .reload: "reload"
            case .watch: "watch"
            }
        return "\(form.rawValue) \(text)\n"
    }
}

/// What a daemon answers: a first line, `ok`, `ok STATUS` or `error STATUS`, and then text or JSON until the connection is
/// closed.
package enum ControlAnswer: Equatable, Sendable {
    /// The request was carried out.
    case done(String)
    /// The same, and who asked is to end with an exit status that scripts can read: not all is well.
    case doneBut(Int32, String)
    /// It was not; an exit status, and why.
    case failed(Int32, String)

    /// All that is sent.
    package var text: String {
        switch self {
        case .done(let text): "ok\n\(text)"
        case .doneBut(let status, let text): "ok \(status)\n\(text)"
        case .failed(let status, let text): "error \(status)\n\(text)\n"
        }
    }

    /// Reads the first line of an answer.
    ///
    /// - Returns: Whether the request was carried out, and the exit status; nil if it is no such line.
    package static func head(_ line: String) -> (isDone: Bool, status: Int32)? {
        if line == "ok" { return (true, 0) }
        let words = line.split(separator: " ")
        guard words.count == 2, words[0] == "ok" || words[0] == "error", let status = Int32(words[1]), status > 0,
            status < 126
        else { return nil }
        return (words[0] == "ok", status)
    }
}
