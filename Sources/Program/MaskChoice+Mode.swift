// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Settings

extension MaskChoice {
    /// The mask to request; nil if it depends on whether there is a NAT.
    package var mode: MaskMode? {
        switch self {
        case .auto: nil
        case .full: .full
        case .windowed: .windowed
        }
    }
}
