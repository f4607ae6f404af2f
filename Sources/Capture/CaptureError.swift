// SPDX-License-Identifier: GPL-2.0-or-later

/// The reason why packets cannot be read, captured or sent.
package enum CaptureError: Error, Equatable, CustomStringConvertible {
    /// A file cannot be opened.
    case cannotOpen(path: String, reason: String, isMissing: Bool)
    /// A file is damaged or truncated, with the message of libpcap.
    case damaged(path: String, reason: String)
    /// The link layer of a capture is not supported; its source, and its name or number.
    case unknownLinkLayer(String, name: String)
    /// An operation is not permitted.
    case notPermitted(String)
    /// The host has no such address or name, or no route; the whole message.
    case unreachable(String)
    /// A call failed.
    case failed(String, reason: String)

    /// What went wrong and where, and what to do if that is known.
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
