// SPDX-License-Identifier: GPL-2.0-or-later
internal import JSONText
package import KnockEngine
internal import Linux
internal import Wire

/// One step of a handshake, for people who watch.
package struct WatchLine {
    private let event: Event
    private let party: String?
    private let time: String

    /// Takes the step, and the name of the guest or target.
    package init(_ event: Event, party: String?) {
        self.event = event
        self.party = party
        time = SystemClock.timestamp()
    }

    /// Aligned columns: time, client, server, name, reason and what it means.
    package var text: String {
        let ends = "\(event.flow.client) > \(event.flow.server)"
        let name = party ?? "-"
        return "\(time.dropFirst(11).dropLast()) \(Self.padded(ends, 44)) \(Self.padded(name, 10)) "
            + "\(Self.padded(event.reason.name, 24)) \(event.reason.explanation)\n"
    }

    /// One JSON object.
    package var json: String {
        let value: JSONValue = .object([
            "time": .string(time), "client": .string(event.flow.client), "server": .string(event.flow.server),
            "name": .string(party), "reason": .string(event.reason.name),
            "mask": .string(event.mode.map { "\($0)" }), "explanation": .string(event.reason.explanation),
        ])
        return value.text + "\n"
    }

    /// What somebody is told who reads too slowly.
    static func missed(_ count: UInt64, _ form: ControlRequest.Form) -> String {
        form == .json ? "{\"missed\":\(count)}\n" : "(\(count) not shown: they came too fast)\n"
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
