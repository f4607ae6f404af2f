// SPDX-License-Identifier: GPL-2.0-or-later

/// The format of log lines.
package enum LogFormat: String, CaseIterable, Sendable {
    /// `time LEVEL message name=value ...`.
    case text
    /// A JSON object per line: `time`, `level`, `message`, and the values by their names.
    case json
    /// Like `text`, preceded by a priority for the journal, such as `<4>` (sd-daemon(3)).
    case journal
}
