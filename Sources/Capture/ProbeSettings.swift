// SPDX-License-Identifier: GPL-2.0-or-later
package import Diagnosis
package import KnockProtocol
package import Wire

/// The target of a probe, and the client's settings that should be in effect.
package struct ProbeSettings: Sendable {
    /// The name or address of the server.
    package var host: String
    /// The protected port.
    package var port: UInt16
    /// The key of this server.
    package var key: NamedKey
    /// The addresses that servers see, one for each family (`nat_ip`); none if that is the host's own.
    package var natAddresses: [IPFamily: IPAddress] = [:]
    /// Whether codes are bound to no address (`nat_ip = "auto"`).
    package var isRoaming = false
    /// The mask (`isn_mask`); nil means `auto`.
    package var mode: MaskMode?
    /// Whether codes depend on the time (`no_time` is not set).
    package var usesTime = true
    /// Whether SYNs carry the hint (`no_hint` is not set).
    package var sendsHint = true
    /// The queue of the client's daemon (`queue_num`).
    package var queueNumber: UInt16
    /// The folder of the firewall scripts, for commands to type.
    package let scripts: String
    /// The address family to use; nil for the first address that the name resolves to.
    package var family: IPFamily?
    /// The interface to the server; nil for the one with the local address.
    package var interface: String?
    /// The time to wait for an answer, in seconds.
    package var timeout: Double = 3
    /// Addresses to try if there is no answer, as the server may see one of them instead of this host's own.
    package var tryAddresses: [IPAddress] = []
    /// Whether to send experimental SYNs if the connection fails.
    ///
    /// A server that counts wrong codes counts some of these.
    package var experiments = true

    package init(host: String, port: UInt16, key: NamedKey, queueNumber: UInt16, scripts: String) {
        self.host = host
        self.port = port
        self.key = key
        self.queueNumber = queueNumber
        self.scripts = scripts
    }

    /// Returns the address that the client's daemon binds codes to with these settings.
    func configured(local: IPAddress) -> AddressCandidate {
        if isRoaming { return AddressCandidate(.roaming, .roaming) }
        guard let nat = natAddresses[local.family], nat != local else { return AddressCandidate(local, .source) }
        return AddressCandidate(nat, .given)
    }

    /// Returns the mask that the client's daemon asks for with these settings.
    func mode(local: IPAddress) -> MaskMode {
        mode ?? (isRoaming || natAddresses[local.family] != nil ? .windowed : .full)
    }
}
