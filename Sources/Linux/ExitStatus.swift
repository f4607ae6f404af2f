// SPDX-License-Identifier: GPL-2.0-or-later

/// The exit statuses of sysexits.h, by which scripts tell failures apart.
public enum ExitStatus: Int32, Sendable {
    /// The command line is wrong.
    case usage = 64
    /// A file that was read is damaged, or not what it should be.
    case wrongData = 65
    /// A file to be read does not exist.
    case noInput = 66
    /// There is no such user.
    case noUser = 67
    /// There is no such host, or no way to it.
    case noHost = 68
    /// A daemon, a queue or a part of the kernel is not available.
    case unavailable = 69
    /// The program itself is at fault.
    case software = 70
    /// A system call failed.
    case system = 71
    /// A file cannot be created.
    case cannotCreate = 73
    /// A file cannot be read or written.
    case inputOutput = 74
    /// It may work later.
    case tryLater = 75
    /// The other side was not understood.
    case wrongProtocol = 76
    /// This user may not do that.
    case noPermission = 77
    /// The configuration is wrong.
    case configuration = 78
}
