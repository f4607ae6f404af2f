// SPDX-License-Identifier: GPL-2.0-or-later
package import Linux
internal import Settings

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
