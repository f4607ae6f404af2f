// SPDX-License-Identifier: GPL-2.0-or-later
package import Diagnosis
package import KnockProtocol
package import Wire

/// What a probe is to look at, and the client's settings that it should find at work.
package struct ProbeSettings: Sendable {
    /// The server: a name or an address.
    package var host: String
    /// The protected port.
    package var port: UInt16
    /// The key of this server.
    package var key: NamedKey
    /// `nat_ip`: the address that servers see, for each family; nil where it is the host's own.
    package var natAddresses: [IPFamily: IPAddress] = [:]
    /// `nat_ip = "auto"`: codes are bound to no address.
    package var isRoaming = false
    /// `isn_mask`; nil is `auto`.
    package var mode: MaskMode?
    /// Not `no_time`.
    package var usesTime = true
    /// Not `no_hint`.
    package var sendsHint = true
    /// `queue_num` of the client's daemon.
    package var queueNumber: UInt16 = 200
    /// Only addresses of this family; nil takes what the name gives first.
    package var family: IPFamily?
    /// The interface to the server; nil is the one that has the local address.
    package var interface: String?
    /// How long to wait for an answer, in seconds.
    package var timeout: Double = 3
    /// Addresses that the server may see in place of this host's own, to be tried if there is no answer.
    package var tryAddresses: [IPAddress] = []
    /// Whether to send SYNs of its own if the connection fails.
    ///
    /// A server that counts wrong codes counts some of them.
    package var experiments = true

    /// Names the server and its key.
    package init(host: String, port: UInt16, key: NamedKey) {
        self.host = host
        self.port = port
        self.key = key
    }

    /// The address that the client's daemon binds codes to, as long as it has these settings.
    func configured(local: IPAddress) -> AddressCandidate {
        if isRoaming { return AddressCandidate(.roaming, .roaming) }
        guard let nat = natAddresses[local.family], nat != local else { return AddressCandidate(local, .source) }
        return AddressCandidate(nat, .given)
    }

    /// The mask that the client's daemon asks for, as long as it has these settings.
    func mode(local: IPAddress) -> MaskMode {
        mode ?? (isRoaming || natAddresses[local.family] != nil ? .windowed : .full)
    }
}
