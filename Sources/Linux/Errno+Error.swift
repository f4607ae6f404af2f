// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// Returns the error number of an error thrown by swift-system, which throws no other errors.
package func errno(of error: any Error) -> Errno {
    error as? Errno ?? .ioError
}
