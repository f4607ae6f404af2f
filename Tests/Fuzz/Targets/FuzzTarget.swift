// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings

/// What is wrong although nothing has trapped.
struct Violation: Error {
    /// For people.
    let text: String

    /// Takes the text.
    init(_ text: String) { self.text = text }
}

/// Throws if something that must hold does not.
func hold(_ condition: Bool, _ text: @autoclosure () -> String) throws(Violation) {
    guard condition else { throw Violation(text()) }
}

/// Code that takes bytes from outside, with what must hold whatever they are.
struct FuzzTarget: Sendable, CustomStringConvertible {
    /// The name on the command line, and of the folder with the corpus.
    let name: String
    /// Takes an input; throws where something that must hold does not, and may trap.
    let run: @Sendable ([UInt8]) throws(Violation) -> Void

    var description: String { name }

    /// All there are.
    static let all: [FuzzTarget] = [
        FuzzTarget(name: "packet", run: PacketTarget.run),
        FuzzTarget(name: "server-engine", run: ServerEngineTarget.run),
        FuzzTarget(name: "client-engine", run: ClientEngineTarget.run),
        FuzzTarget(name: "packet-message", run: PacketMessageTarget.run),
        FuzzTarget(name: "conntrack", run: ConntrackTarget.run),
        FuzzTarget(name: "server-settings", run: SettingsTarget<ServerSettings>.run),
        FuzzTarget(name: "client-settings", run: SettingsTarget<ClientSettings>.run),
        FuzzTarget(name: "bundle", run: BundleTarget.run),
        FuzzTarget(name: "control", run: ControlTarget.run),
        FuzzTarget(name: "address", run: AddressTarget.run),
        FuzzTarget(name: "capture", run: CaptureTarget.run),
    ]
}
