// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import Linux
internal import SystemPackage
internal import Wire

/// The list of this host's addresses for the hook program, which runs before routing decides whether a packet is local.
///
/// A SYN to an address that is not listed yet passes, and the daemon judges it.
struct OwnAddressMap: ~Copyable {
    private let map: BPFDescriptor
    /// The content of the map; nil if unknown.
    private var known: Set<IPAddress>?

    /// Opens the map pinned in a folder; nil if there is none.
    init?(pinFolder: FilePath) throws(KernelFilterError) {
        guard let map = try BPFDescriptor.pinned(pinFolder.appending("own")) else { return nil }
        self.map = map
    }

    /// Updates the map if the addresses have changed.
    mutating func refresh() throws(KernelFilterError) {
        let current = Set(InterfaceAddresses.all().map(\.address))
        guard current != known else { return }
        let old = if let known { known } else { try read() }
        known = nil
        for address in old.subtracting(current) {
            var key = syn_code_address(address)
            guard unsafe bpf_map_delete_elem(map.number, &key) == 0 || Glibc.errno == ENOENT else {
                throw KernelFilterError(call: "write a map")
            }
        }
        // Packets to addresses beyond the map's capacity pass.
        for address in current.subtracting(old).prefix(
            max(0, Int(SYN_CODE_MAXIMUM_OWN) - old.intersection(current).count))
        {
            var key = syn_code_address(address)
            var value: UInt8 = 1
            guard unsafe bpf_map_update_elem(map.number, &key, &value, UInt64(BPF_ANY)) == 0 else {
                throw KernelFilterError(call: "write a map")
            }
        }
        known = current
    }

    private func read() throws(KernelFilterError) -> Set<IPAddress> {
        var found: Set<IPAddress> = []
        var next = syn_code_address()
        guard unsafe bpf_map_get_next_key(map.number, nil, &next) == 0 else { return found }
        // The map cannot have more entries, but another process could write while we read.
        for _ in 0..<SYN_CODE_MAXIMUM_OWN {
            found.insert(IPAddress(high: next.words.0.byteSwapped, low: next.words.1.byteSwapped))
            var previous = next
            guard unsafe bpf_map_get_next_key(map.number, &previous, &next) == 0 else { break }
        }
        return found
    }
}
