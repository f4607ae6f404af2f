// SPDX-License-Identifier: GPL-2.0-or-later
internal import JSONText
package import KnockEngine
internal import Linux
internal import Wire

/// A step of a handshake, as it is shown to watchers.
package struct WatchLine {
    private let event: Event
    private let party: String?
    private let time: String

    package init(_ event: Event, party: String?) {
        self.event = event
        self.party = party
        time = SystemClock.timestamp()
    }

    /// Aligned columns: time, client, server, name, reason and explanation.
    package var text: String {
        let ends = "\(event.flow.client) > \(event.flow.server)"
        let name = party ?? "-"
        return "\(time.dropFirst(11).dropLast()) \(Self.padded(ends, 44)) \(Self.padded(name, 10)) "
            + "\(Self.padded(event.reason.name, 24)) \(event.reason.explanation)\n"
    }

    /// A JSON object in one line.
    package var json: String {
        let value: JSONValue = .object([
            "time": .string(time), "client": .string(event.flow.client), "server": .string(event.flow.server),
            "name": .string(party), "reason": .string(event.reason.name),
            "mask": .string(event.mode.map { "\($0)" }), "explanation": .string(event.reason.explanation),
        ])
        return value.text + "\n"
    }

    /// Returns the line that is sent after lines were skipped because the watcher read too slowly.
    static func missed(_ count: UInt64, _ form: ControlRequest.Form) -> String {
        switch form {
        case .json: JSONValue.object(["missed": .unsigned(count)]).text + "\n"
        case .text: "(\(count) not shown: they came too fast)\n"
        }
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
