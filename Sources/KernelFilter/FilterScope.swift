// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
package import Wire

/// The traffic that the programs at netfilter hooks look at.
///
/// As in the firewall rules, these are segments to the given ports that go to a protected place and do not come from an
/// exempt one.
package struct FilterScope: Sendable {
    /// A destination or source of packets.
    package enum Place: Hashable, Sendable {
        /// This host's own addresses.
        case own
        /// All addresses with a prefix.
        case prefix(IPPrefix)
        /// Everything that arrives on the interface with this name, of up to 15 bytes.
        case interface(String)
    }

    /// The maximum number of protected places, and of exempt places.
    package static let maximumPlaces = Int(SYN_CODE_MAXIMUM_PLACES)

    private let ports: [UInt16]
    private let protected: [Place]
    private let exempt: [Place]

    /// Creates a scope.
    ///
    /// - Parameters:
    ///   - ports: The protected ports.
    ///   - protected: The destinations to protect.
    ///   - exempt: The sources that need no knock; not `own`.
    package init(ports: [UInt16], protected: [Place] = [.own], exempt: [Place] = []) {
        (self.ports, self.protected, self.exempt) = (ports, protected, exempt)
    }

    func value() throws(KernelFilterError) -> syn_code_scope {
        let count = max(protected.count, exempt.count)
        guard count <= Self.maximumPlaces else { throw .tooManyPlaces(count) }
        var value = syn_code_scope()
        unsafe withUnsafeMutableBytes(of: &value.ports) { words in
            let words = unsafe words.bindMemory(to: UInt64.self)
            for port in ports { unsafe words[Int(port >> 6)] |= 1 << UInt64(port & 63) }
        }
        unsafe withUnsafeMutableBytes(of: &value.protected_places) { unsafe Self.write(protected, to: $0) }
        unsafe withUnsafeMutableBytes(of: &value.exempt_places) { unsafe Self.write(exempt, to: $0) }
        value.protected_count = UInt32(protected.count)
        value.exempt_count = UInt32(exempt.count)
        return value
    }

    private static func write(_ places: [Place], to memory: UnsafeMutableRawBufferPointer) {
        let values = unsafe memory.bindMemory(to: syn_code_place.self)
        for (index, place) in places.enumerated() { unsafe values[index] = Self.value(of: place) }
    }

    private static func value(of place: Place) -> syn_code_place {
        var value = syn_code_place()
        switch place {
        case .own:
            value.is_own = 1
        case .prefix(let prefix):
            value.family = UInt32(prefix.address.family.rawValue)
            value.address = syn_code_address(prefix.address)
            value.mask = syn_code_address(prefix.mask)
        case .interface(let name):
            let letters = Array(name.utf8.prefix(15)) + [0]
            let words = [letters.prefix(8), letters.dropFirst(8)].map { letters in
                letters.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            }
            value.interface = (words[0], words[1])
        }
        return value
    }
}

extension IPPrefix {
    /// The network mask.
    fileprivate var mask: IPAddress {
        let ones = IPAddress(high: .max, low: .max)
        // An all-ones address cut to the length of the prefix is its mask.
        return IPPrefix(ones, length: mappedLength)?.address ?? ones
    }
}
