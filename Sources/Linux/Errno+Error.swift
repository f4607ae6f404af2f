// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

extension Errno {
    /// Creates an error number from an error thrown by swift-system, which throws no other errors.
    package init(_ error: any Error) { self = error as? Errno ?? .ioError }
}
