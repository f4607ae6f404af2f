// SPDX-License-Identifier: GPL-2.0-or-later
package import Linux
package import SystemPackage

/// Why the filter is not in the kernel, or not any more.
///
/// Without it everything works, only more slowly under a flood.
package enum KernelFilterError: ReportableError, Equatable {
    /// The object file is not in any of these folders.
    case objectMissing([FilePath])
    /// There is no hook program at this path.
    case hookMissing(FilePath)
    /// There is no gate program at this path.
    case gateMissing(FilePath)
    /// The folder for pins is not on a BPF file system.
    case noBPFFileSystem(FilePath)
    /// This process lacks permission for this call.
    case notPermitted(call: String)
    /// The kernel rejected the program; with the last lines of the verifier log.
    case refused(Errno, [String])
    /// The kernel does not support netfilter programs.
    case hooksUnknown(Errno)
    /// There are more keys than the program has room for.
    case tooManyKeys(Int)
    /// There are more protected or exempt places than the programs have room for.
    case tooManyPlaces(Int)
    /// The program in the kernel gave a wrong answer.
    case wrongAnswer
    /// Another call failed.
    case system(call: String, Errno)

    package var fatal: FatalError {
        let (finding, cure) = text
        let status: ExitStatus =
            switch self {
            case .notPermitted: .noPermission
            case .hookMissing, .gateMissing: .noInput
            default: .unavailable
            }
        return FatalError(finding, cure: cure, status: status)
    }

    private var text: (finding: String, cure: String?) {
        switch self {
        case .objectMissing(let folders):
            (
                "\(KernelFilter.objectName) is missing; looked in \(folders.map(\.string).joined(separator: " and "))",
                nil
            )
        case .hookMissing(let path):
            ("there is no program for a hook at \(path): tcpknock-server puts it there, on Linux 6.4 and later", nil)
        case .gateMissing(let path):
            ("there is no program for the gate at \(path): the log of tcpknock-server says why", nil)
        case .noBPFFileSystem(let folder):
            (
                "\(folder) is not on a BPF file system",
                "'\(KernelFilter.mountCommand)' makes one where systemd has not"
            )
        case .notPermitted(let call):
            ("\(call): not permitted", "it needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, so run this as root")
        case .refused(let errno, let lines) where lines.isEmpty:
            (
                "the kernel does not take the program: \(errno)",
                "it needs Linux 5.11 or later with CONFIG_BPF_SYSCALL"
            )
        case .refused(.permissionDenied, let lines):
            // The verifier allows less with CAP_BPF alone.
            ("the kernel does not take the program: \(lines.last ?? "")", "perhaps CAP_PERFMON is missing")
        case .refused(let errno, let lines):
            ("the kernel does not take the program: \(errno): \(lines.last ?? "")", nil)
        case .hooksUnknown(let errno):
            ("the kernel has no programs for hooks of netfilter: \(errno)", "it needs Linux 6.4 or later")
        case .tooManyKeys(let count):
            ("\(count) keys are more than the \(KernelFilter.maximumKeys) that the filter has room for", nil)
        case .tooManyPlaces(let count):
            ("\(count) places are more than the \(FilterScope.maximumPlaces) that the filter has room for", nil)
        case .wrongAnswer:
            ("the program in the kernel did not tell right codes from wrong ones, so it was switched off", nil)
        case .system(let call, let errno):
            ("\(call): \(errno)", nil)
        }
    }

    /// The last lines of the verifier log, for experts; empty if there is none.
    package var verifierLines: [String] {
        if case .refused(_, let lines) = self { lines } else { [] }
    }
}
