// SPDX-License-Identifier: GPL-2.0-or-later
package import Linux
internal import Settings
package import Wire

/// A request to a daemon over its control socket: one line of text, beginning with the form of the answer.
///
///     text status
///     json unlock 192.0.2.7
package enum ControlRequest: Equatable, Sendable {
    /// Report the status.
    case status
    /// List the lockouts.
    case locks
    /// End the lockout of an address.
    case unlock(IPAddress)
    /// Read the configuration again.
    case reload
    /// Report each step of each handshake from now on, until the connection is closed.
    case watch

    /// The form of an answer.
    package enum Form: String, Sendable {
        /// Lines for people.
        case text
        /// One JSON value per line, for scripts.
        case json
    }

    /// The longest request, in bytes.
    package static let maximumLength = 256

    /// Parses a line without its newline; nil if it is not a request.
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

    /// Returns the line for a request, with its newline.
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

/// A daemon's answer: a first line, `ok`, `ok STATUS` or `error STATUS`, and then text or JSON until the connection is
/// closed.
package enum ControlAnswer: Equatable, Sendable {
    /// The request was carried out.
    case done(String)
    /// The request was carried out, but the client should exit with this status, so that scripts notice a problem.
    case doneBut(Int32, String)
    /// The request was not carried out, with an exit status and the reason.
    case failed(ExitStatus, String)

    /// The complete text of the answer.
    package var text: String {
        switch self {
        case .done(let text): "ok\n\(text)"
        case .doneBut(let status, let text): "ok \(status)\n\(text)"
        case .failed(let status, let text): "error \(status.rawValue)\n\(text)\n"
        }
    }

    /// Parses the first line of an answer.
    ///
    /// - Returns: Whether the request was carried out, and the exit status; nil if it is not such a line.
    package static func head(_ line: String) -> (isDone: Bool, status: Int32)? {
        if line == "ok" { return (true, 0) }
        let words = line.split(separator: " ")
        guard words.count == 2, words[0] == "ok" || words[0] == "error", let status = Int32(words[1]), status > 0,
            status < 126
        else { return nil }
        return (words[0] == "ok", status)
    }
}
