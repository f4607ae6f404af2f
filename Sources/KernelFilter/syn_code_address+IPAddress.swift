// SPDX-License-Identifier: GPL-2.0-or-later
internal import CBPF
internal import Wire

extension syn_code_address {
    init(_ address: IPAddress) {
        self.init(words: (address.high.byteSwapped, address.low.byteSwapped))
    }
}
