// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine

extension ServerEngine.Configuration {
    /// A server with the port and the limits that most tests are about.
    package static var usual: Self {
        Self(targetPorts: [22], lockoutSeconds: 120, guestSYNRate: 2000, wrongCodeSeconds: 600)
    }
}
