// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Drops the root privileges of this process, which should be a test's own.
///
/// Does nothing if it has none; traps if it cannot drop them.
package func dropPrivileges() {
    guard geteuid() == 0 else { return }
    precondition(setgroups(0, nil) == 0 && setegid(65534) == 0 && seteuid(65534) == 0)
}

/// Regains the privileges that `dropPrivileges()` dropped, so that a coverage profile can be written when the process
/// ends.
package func regainPrivileges() {
    guard getuid() == 0 else { return }
    precondition(seteuid(0) == 0 && setegid(0) == 0)
}
