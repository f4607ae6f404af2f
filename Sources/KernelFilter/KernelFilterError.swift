// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// Why the filter is not, or no longer, in the kernel.
///
/// Without it everything works, only slower under a flood.
package enum KernelFilterError: Error, Equatable, CustomStringConvertible {
    /// The object file is in none of these folders.
    case objectMissing([FilePath])
    /// There is no program for a hook at this path.
    case hookMissing(FilePath)
    /// There is no program for the gate at this path.
    case gateMissing(FilePath)
    /// The folder to pin in is not on a BPF file system.
    case noBPFFileSystem(FilePath)
    /// This process may not make this call.
    case notPermitted(call: String)
    /// The kernel does not take the program; the lines that its verifier said last.
    case refused(Errno, [String])
    /// The kernel has no programs for hooks of netfilter.
    case hooksUnknown(Errno)
    /// There are more keys than the program has room for.
    case tooManyKeys(Int)
    /// There are more places, protected or exempt, than the programs have room for.
    case tooManyPlaces(Int)
    /// The program in the kernel did not answer as it must.
    case wrongAnswer
    /// Another call failed.
    case system(call: String, Errno)

    /// What is wrong, and what to do.
    package var description: String {
        switch self {
        case .objectMissing(let folders):
            "\(KernelFilter.objectName) is missing; looked in \(folders.map(\.string).joined(separator: " and "))"
        case .hookMissing(let path):
            "there is no program for a hook at \(path): tcpknock-server puts it there, on Linux 6.4 and later"
        case .gateMissing(let path):
            "there is no program for the gate at \(path): the log of tcpknock-server says why"
        case .noBPFFileSystem(let folder):
            "\(folder) is not on a BPF file system; 'mount -t bpf bpf /sys/fs/bpf' makes one where systemd has not"
        case .notPermitted(let call):
            "\(call): not permitted; it needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, so run this as root"
        case .refused(let errno, let lines) where lines.isEmpty:
            "the kernel does not take the program: \(errno); it needs Linux 5.11 or later with CONFIG_BPF_SYSCALL"
        case .refused(.permissionDenied, let lines):
            // The verifier allows less to who has CAP_BPF alone.
            "the kernel does not take the program: \(lines.last ?? ""); perhaps CAP_PERFMON is missing"
        case .refused(let errno, let lines):
            "the kernel does not take the program: \(errno): \(lines.last ?? "")"
        case .hooksUnknown(let errno):
            "the kernel has no programs for hooks of netfilter: \(errno); it needs Linux 6.4 or later"
        case .tooManyKeys(let count):
            "\(count) keys are more than the \(KernelFilter.maximumKeys) that the filter has room for"
        case .tooManyPlaces(let count):
            "\(count) places are more than the \(FilterScope.maximumPlaces) that the filter has room for"
        case .wrongAnswer:
            "the program in the kernel did not tell right codes from wrong ones, so it was switched off"
        case .system(let call, let errno):
            "\(call): \(errno)"
        }
    }

    /// What the kernel's verifier said last, for who can read it; empty if it has said nothing.
    package var verifierLines: [String] {
        if case .refused(_, let lines) = self { lines } else { [] }
    }
}
