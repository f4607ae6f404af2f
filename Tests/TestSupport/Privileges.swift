// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Takes the rights of root from this process, for a test in a process of its own.
///
/// Does nothing where there are none; traps if it cannot.
package func dropPrivileges() {
    guard geteuid() == 0 else { return }
    precondition(setgroups(0, nil) == 0 && setegid(65534) == 0 && seteuid(65534) == 0)
}

/// Takes back what `dropPrivileges()` took, so that a coverage profile can be written at the end of the process.
package func regainPrivileges() {
    guard getuid() == 0 else { return }
    precondition(seteuid(0) == 0 && setegid(0) == 0)
}
