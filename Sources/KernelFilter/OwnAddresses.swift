// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Glibc
internal import Linux
internal import SystemPackage
internal import Wire

/// The addresses of this host, as the program at the hook knows them: there, nobody has asked yet whether a packet goes
/// to this host.
///
/// A SYN to an address that it does not know yet passes, to be judged by the daemon.
struct OwnAddresses: ~Copyable {
    private let map: BPFDescriptor
    /// What is in the map; nil while nobody knows.
    private var known: Set<IPAddress>?

    /// Opens the map of a folder; nil if there is none.
    init?(pinFolder: FilePath) throws(KernelFilterError) {
        guard let map = try BPFDescriptor.pinned(pinFolder.appending("own")) else { return nil }
        self.map = map
    }

    /// Brings the map up to date, if it is not.
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
        // Those beyond its size pass.
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
        // A map cannot have more; but somebody could write while we read.
        for _ in 0..<SYN_CODE_MAXIMUM_OWN {
            found.insert(IPAddress(high: next.words.0.byteSwapped, low: next.words.1.byteSwapped))
            var previous = next
            guard unsafe bpf_map_get_next_key(map.number, &previous, &next) == 0 else { break }
        }
        return found
    }
}
