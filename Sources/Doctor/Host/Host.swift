// SPDX-License-Identifier: GPL-2.0-or-later
package import Netfilter
package import SystemPackage
package import Wire

/// All that checks can ask of a host; none of it changes anything.
///
/// Checks know the host only through this type, so that tests can substitute a host of their own.
package struct Host {
    /// Reads a text file of at most a few megabytes.
    package var read: (String) -> Reading
    /// Lists the names in a folder, without `.` and `..`; empty if it cannot be listed.
    package var list: (String) -> [String]
    /// Reads the status of a path; symbolic links are followed.
    package var status: (String) -> Result<FileStatus, Errno>
    /// Reads a symbolic link; nil if it is not a link or cannot be read.
    package var link: (String) -> String?
    /// Runs a program to its end, without a shell: its name or path, then its arguments.
    package var run: ([String]) -> ToolRun
    /// Returns the addresses of all interfaces.
    package var addresses: () -> [InterfaceAddress]
    /// Returns the state of the clock; nil if the kernel does not say.
    package var clock: () -> ClockState?
    /// Checks a key file that must belong to one of the given users, and derives the key's fingerprint.
    package var fingerprint: (String, [UInt32]) -> KeyReading
    /// Asks the daemon at a control socket who is locked out.
    package var locks: (String) -> LockReading
    /// Returns the sockets that sign their segments; empty if this user may not know.
    package var signed: () -> [SignedSocket]
    /// The effective user id of this process.
    package var userID: UInt32
    /// The folder of the firewall scripts; nil if they are not installed.
    package var scripts: FilePath?

    /// The names of the interfaces.
    var interfaces: [String] { list("/sys/class/net") }
}

/// The result of reading a text file.
package enum Reading: Equatable {
    /// The text, and whether it is complete.
    case text(String, isComplete: Bool)
    /// There is no such file.
    case missing
    /// The file cannot be read.
    case refused(Errno)

    /// The text, if it could be read.
    package var text: String? {
        guard case .text(let text, _) = self else { return nil }
        return text
    }

    /// The text as a number, without white space; nil if it is not a number.
    var number: Int? {
        text.flatMap { Int($0.filter { !$0.isWhitespace }) }
    }
}

/// The status of a path (stat(2)).
package struct FileStatus: Equatable, Sendable {
    /// The kinds of files that the checks distinguish.
    package enum Kind: Sendable {
        /// A regular file.
        case file
        /// A folder.
        case folder
        /// A Unix socket.
        case socket
        /// Anything else.
        case other
    }

    /// The kind of file.
    package var kind: Kind
    /// The permission bits, 0 to 0o7777.
    package var permissions: UInt16
    /// The user id of the owner.
    package var owner: UInt32
    /// The inode number.
    package var inode: UInt64
    /// The length in bytes.
    package var size: Int64

    package init(kind: Kind, permissions: UInt16, owner: UInt32 = 0, inode: UInt64 = 1, size: Int64 = 0) {
        self.kind = kind
        self.permissions = permissions
        self.owner = owner
        self.inode = inode
        self.size = size
    }
}

/// The result of running a program.
package enum ToolRun: Equatable {
    /// The program ended: its exit status, what it wrote, and whether the output is complete.
    case ended(status: Int32, output: String, errors: String, isComplete: Bool)
    /// The program was killed because it took too long.
    case timeout
    /// There is no such program.
    case missing

    /// The standard output, if the exit status was 0.
    package var output: String? {
        guard case .ended(0, let output, _, _) = self else { return nil }
        return output
    }
}

/// An address of an interface.
package struct InterfaceAddress: Equatable, Sendable {
    /// The name of the interface.
    package let interface: String
    /// The address.
    package let address: IPAddress

    package init(_ interface: String, _ address: IPAddress) {
        self.interface = interface
        self.address = address
    }
}

/// The state of the clock (adjtimex(2)).
package struct ClockState: Equatable, Sendable {
    /// Whether the clock is kept synchronised: STA_UNSYNC is clear.
    package var isSynchronised: Bool
    /// The estimated error in microseconds.
    package var estimatedError: Int
    /// The time in seconds since 1970-01-01 00:00 UTC.
    package var unixSeconds: Int64

    package init(isSynchronised: Bool, estimatedError: Int, unixSeconds: Int64) {
        self.isSynchronised = isSynchronised
        self.estimatedError = estimatedError
        self.unixSeconds = unixSeconds
    }
}

/// A daemon's answer about lockouts.
package enum LockReading: Equatable, Sendable {
    /// One line for each lockout, as `tcpknock locks` prints it.
    case list([String])
    /// This user may not ask.
    case refused
    /// The daemon does not answer.
    case silent
}

/// The result of reading a key file.
package enum KeyReading: Equatable, Sendable {
    /// The file is good; this is the key's fingerprint.
    case good(String)
    /// The file is not good: what is wrong, and what to do.
    case bad(found: String, cure: String)
    /// The file belongs to this user id, which is not one of the permitted owners.
    case foreign(UInt32)
    /// This user may not read the file.
    case refused
}
