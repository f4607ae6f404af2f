// SPDX-License-Identifier: GPL-2.0-or-later
import Capture
import Diagnosis
import Linux
import Program
import Settings
import SystemPackage
import Wire

/// The settings of the client's daemon for one server, from its configuration file.
struct ProbeConfiguration {
    var keyFile: FilePath
    var nat = NATAddress.none
    var mask = MaskChoice.auto
    var noTime = false
    var noHint = false
    var queue: UInt16

    /// Finds the settings for a server: those of its target, else those for all destinations.
    ///
    /// - Throws: `FatalError` if the file has neither.
    init(
        _ settings: ClientSettings, host: String, address: IPAddress, port: UInt16, keyFile: FilePath?
    ) throws(FatalError) {
        let target =
            settings.targets.first { $0.ports.contains(port) && $0.host.isCalled(host) }
            ?? settings.targets.filter { $0.ports.contains(port) && $0.host.contains(address) }
            .max { $0.host.prefixLength < $1.host.prefixLength }
        let shared = settings.targetPorts.contains(port) ? settings.sharedKeyFile : nil
        guard let key = keyFile ?? target?.keyFile ?? shared else {
            throw FatalError(
                "the client's configuration has no target for \(host) (\(address)) port \(port), so its daemon does "
                    + "not knock there", cure: "add a [[target]], or give --key-file", status: .configuration)
        }
        self.keyFile = key
        nat = target?.nat ?? settings.nat
        mask = target?.mask ?? settings.mask
        noTime = target?.noTime ?? settings.noTime
        noHint = settings.noHint
        queue = settings.queue
    }

    /// Copies these settings into those of a probe.
    func apply(to settings: inout ProbeSettings) {
        switch nat {
        case .none: break
        case .addresses(let addresses): settings.natAddresses = addresses
        case .automatic: settings.isRoaming = true
        }
        settings.mode = mask.mode
        settings.usesTime = !noTime
        settings.sendsHint = !noHint
    }
}

extension TargetHost {
    fileprivate func isCalled(_ host: String) -> Bool {
        if case .name(let name) = self { name == host.lowercased() } else { false }
    }

    /// Whether the host's prefix contains an address, or its name resolves to that address.
    fileprivate func contains(_ address: IPAddress) -> Bool {
        switch self {
        case .prefix(let prefix): prefix.contains(address)
        case .name(let name): (try? Route(to: name, family: address.family))?.remote == address
        }
    }

    fileprivate var prefixLength: Int {
        if case .prefix(let prefix) = self { prefix.mappedLength } else { 128 }
    }
}
