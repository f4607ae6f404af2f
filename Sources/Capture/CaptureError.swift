// SPDX-License-Identifier: GPL-2.0-or-later

/// Why packets cannot be read, captured or sent.
package enum CaptureError: Error, Equatable, CustomStringConvertible {
    /// A file cannot be opened; why.
    case cannotOpen(path: String, reason: String, isMissing: Bool)
    /// A file is damaged or ends in the middle; what libpcap says.
    case damaged(path: String, reason: String)
    /// The capture is of a link layer that is not read; its name or number.
    case unknownLinkLayer(String, name: String)
    /// Not permitted: what.
    case notPermitted(String)
    /// The host has no such address or name, or no way there; the reason.
    case unreachable(String)
    /// A call failed; what and why.
    case failed(String, reason: String)

    /// What was wrong, where, and what to do.
    package var description: String {
        switch self {
        case .cannotOpen(let path, let reason, _): "\(path): \(reason)"
        case .damaged(let path, let reason): "\(path): \(reason)"
        case .unknownLinkLayer(let source, let name):
            "\(source): the link layer '\(name)' is not read here; Ethernet, Linux cooked and raw IP are"
        case .notPermitted(let what): "\(what): not permitted; run this as root"
        case .unreachable(let reason): reason
        case .failed(let what, let reason): "\(what): \(reason)"
        }
    }
}
