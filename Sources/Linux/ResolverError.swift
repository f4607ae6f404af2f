// SPDX-License-Identifier: GPL-2.0-or-later

/// The reason why a name has no addresses.
package struct ResolverError: ReportableError, Equatable {
    /// The system's error message.
    package let text: String

    package var fatal: FatalError { FatalError(text, status: .noHost) }
}
