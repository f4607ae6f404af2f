// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// Takes the error number out of what swift-system throws; it throws nothing else.
package func errno(of error: any Error) -> Errno {
    error as? Errno ?? .ioError
}
