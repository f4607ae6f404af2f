// SPDX-License-Identifier: GPL-2.0-or-later
internal import Netfilter

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
