// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Control
internal import Glibc
internal import KeyFiles
internal import KnockProtocol
internal import Linux
internal import Netfilter
internal import SystemPackage
internal import Wire

extension Host {
    /// The host that this program runs on.
    package static var live: Host {
        Host(
            read: readBounded, list: { FilePath($0).entries }, status: fileStatus,
            link: { FilePath($0).linkTarget?.string }, run: { runBounded($0) },
            addresses: interfaceAddresses, clock: clockState, fingerprint: keyReading, locks: lockReading,
            signed: { (try? SignedSocket.all()) ?? [] },
            userID: geteuid(), scripts: FirewallScript.folder())
    }

    /// The most bytes that are read from a file.
    private static let longestFile = 4 << 20

    private static func readBounded(_ path: String) -> Reading {
        do throws(Errno) {
            let bytes = try FilePath(path).content(limit: longestFile)
            return .text(String(decoding: bytes, as: UTF8.self), isComplete: bytes.count < longestFile)
        } catch {
            return error == .noSuchFileOrDirectory ? .missing : .refused(error)
        }
    }

    private static func lockReading(_ socket: String) -> LockReading {
        do throws(FatalError) {
            // The JSON answer is an array, which is empty if nobody is locked out.
            var array = ""
            try ControlClient.ask(FilePath(socket), .locks, .json) { array += $0 }
            guard array.contains("{") else { return .list([]) }
            return .list(
                try ControlClient.answer(FilePath(socket), .locks).split(separator: "\n").map { String($0) })
        } catch {
            return error.status == .noPermission ? .refused : .silent
        }
    }

    private static func fileStatus(_ path: String) -> Result<FileStatus, Errno> {
        do {
            let status = try Stat(FilePath(path))
            let kind: FileStatus.Kind =
                switch status.type {
                case .regular: .file
                case .directory: .folder
                case .socket: .socket
                default: .other
                }
            return .success(
                FileStatus(
                    kind: kind, permissions: UInt16(truncatingIfNeeded: status.permissions.rawValue) & 0o7777,
                    owner: UInt32(status.userID.rawValue), inode: UInt64(status.inode.rawValue),
                    size: Int64(status.size)))
        } catch {
            return .failure(error)
        }
    }

    private static func interfaceAddresses() -> [InterfaceAddress] {
        InterfaceAddresses.all().map { InterfaceAddress($0.interface, $0.address) }
    }

    private static func clockState() -> ClockState? {
        var state = clinux_clock_state()
        guard unsafe clinux_read_clock_state(&state) == 0 else { return nil }
        return ClockState(
            isSynchronised: state.is_synchronised != 0, estimatedError: Int(state.estimated_error_us),
            unixSeconds: state.unix_seconds)
    }

    private static func keyReading(_ path: String, _ owners: [UInt32]) -> KeyReading {
        do throws(KeyFileError) {
            return .good(try KeyFile.read(FilePath(path), owners: owners).fingerprint)
        } catch {
            return KeyReading(error, path: path)
        }
    }
}
