// SPDX-License-Identifier: GPL-2.0-or-later
package import Netfilter
package import SystemPackage
package import Wire

/// All that checks can ask a host for, none of which changes anything.
///
/// Checks know the host only through this, so that tests can give them a host that they make up.
package struct Host {
    /// Reads a text file, of at most some megabytes.
    package var read: (String) -> Reading
    /// Names what is in a folder; empty if it cannot be listed.
    package var list: (String) -> [String]
    /// Asks what a path is; symbolic links are followed.
    package var status: (String) -> Result<FileStatus, Errno>
    /// Reads a symbolic link; nil if it is none, or may not be read.
    package var link: (String) -> String?
    /// Runs a program to its end, without a shell: name or path, then arguments.
    package var run: ([String]) -> ToolRun
    /// The addresses of all interfaces.
    package var addresses: () -> [InterfaceAddress]
    /// How good the clock is; nil if the kernel does not say.
    package var clock: () -> ClockState?
    /// Checks a key file, and derives its fingerprint; it must belong to one of some users.
    package var fingerprint: (String, [UInt32]) -> KeyReading
    /// Asks the daemon at a control socket who is locked out.
    package var locks: (String) -> LockReading
    /// The sockets that sign their segments; none if this user may not know.
    package var signed: () -> [SignedSocket]
    /// The effective user.
    package var userID: UInt32
}

/// What came of reading a text file.
package enum Reading: Equatable {
    /// Its text; whether all of it.
    case text(String, isComplete: Bool)
    /// There is no such file.
    case missing
    /// It may not be read.
    case refused(Errno)

    /// The text, if it could be read.
    package var text: String? {
        guard case .text(let text, _) = self else { return nil }
        return text
    }

    /// The text without white space around it, as a number.
    var number: Int? {
        text.flatMap { Int($0.filter { !$0.isWhitespace }) }
    }
}

/// What a path is (stat(2)).
package struct FileStatus: Equatable, Sendable {
    /// The kinds of files that matter.
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

    /// What kind of file it is.
    package var kind: Kind
    /// The permission bits, 0...0o7777.
    package var permissions: UInt16
    /// Who owns it.
    package var owner: UInt32
    /// Its number in the file system.
    package var inode: UInt64
    /// Its length in bytes.
    package var size: Int64

    /// Takes all.
    package init(kind: Kind, permissions: UInt16, owner: UInt32 = 0, inode: UInt64 = 1, size: Int64 = 0) {
        self.kind = kind
        self.permissions = permissions
        self.owner = owner
        self.inode = inode
        self.size = size
    }
}

/// What came of running a program.
package enum ToolRun: Equatable {
    /// It ended by itself: its exit status, what it wrote, and whether that is all of it.
    case ended(status: Int32, output: String, errors: String, isComplete: Bool)
    /// It was ended because it took too long.
    case timeout
    /// There is no such program here.
    case missing

    /// What it wrote, if it ended well.
    package var output: String? {
        guard case .ended(0, let output, _, _) = self else { return nil }
        return output
    }
}

/// One address of an interface.
package struct InterfaceAddress: Equatable, Sendable {
    /// The name of the interface.
    package let interface: String
    /// The address.
    package let address: IPAddress

    /// Takes both.
    package init(_ interface: String, _ address: IPAddress) {
        self.interface = interface
        self.address = address
    }
}

/// How good the clock is (adjtimex(2)).
package struct ClockState: Equatable, Sendable {
    /// Whether something keeps it synchronised: STA_UNSYNC is clear.
    package var isSynchronised: Bool
    /// The estimated error in microseconds.
    package var estimatedError: Int
    /// The time in seconds since 1970-01-01 00:00 UTC.
    package var unixSeconds: Int64

    /// Takes all.
    package init(isSynchronised: Bool, estimatedError: Int, unixSeconds: Int64) {
        self.isSynchronised = isSynchronised
        self.estimatedError = estimatedError
        self.unixSeconds = unixSeconds
    }
}

/// What a daemon says of who is locked out.
package enum LockReading: Equatable, Sendable {
    /// A line for each, as `tcpknock locks` shows it.
    case list([String])
    /// This user may not ask.
    case refused
    /// Nobody answers.
    case silent
}

/// What came of reading a key file.
package enum KeyReading: Equatable, Sendable {
    /// It is good; its fingerprint.
    case good(String)
    /// It is not; what is wrong with it, and what to do.
    case bad(found: String, cure: String)
    /// It belongs to this user, whom nobody has made its owner.
    case foreign(UInt32)
    /// This user may not read it.
    case refused
}
