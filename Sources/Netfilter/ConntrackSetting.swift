// SPDX-License-Identifier: GPL-2.0-or-later
public import Linux
internal import SystemPackage

/// A sysctl of connection tracking in the calling thread's network namespace
/// (Documentation/networking/nf_conntrack-sysctl.rst in the kernel tree).
public enum ConntrackSetting: String, CaseIterable, Sendable {
    /// Whether bytes are counted, for connections that begin afterwards.
    case accounting = "nf_conntrack_acct"
    /// Whether events are sent: 1 for all connections, 2 for those that begin while somebody listens.
    case events = "nf_conntrack_events"

    /// The result of turning a setting on.
    public enum Outcome: Equatable, Sendable {
        /// It was on already.
        case wasOn
        /// It was off and is on now.
        case turnedOn
        /// It remains off: connection tracking is not loaded yet (ENOENT), or this process lacks permission (EACCES,
        /// EPERM, EROFS).
        case failed(SystemError)
    }

    /// Turns the setting on if it is off.
    public func turnOn() -> Outcome {
        let path = FilePath("/proc/sys/net/netfilter/\(rawValue)")
        do throws(Errno) {
            guard try path.content(limit: 1) == Array("0".utf8) else { return .wasOn }
        } catch {
            return .failed(SystemError("read \(path)", error.rawValue))
        }
        do {
            let file = try FileDescriptor.open(path, .writeOnly, options: .closeOnExec)
            _ = try file.closeAfter { try file.writeAll("1\n".utf8) }
            return .turnedOn
        } catch {
            return .failed(SystemError("write \(path)", Errno(error).rawValue))
        }
    }
}
