// SPDX-License-Identifier: GPL-2.0-or-later
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
