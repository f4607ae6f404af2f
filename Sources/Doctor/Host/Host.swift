// SPDX-License-Identifier: GPL-2.0-or-later
package import Netfilter
package import SystemPackage

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
