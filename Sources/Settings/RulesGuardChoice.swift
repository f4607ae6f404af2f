// SPDX-License-Identifier: GPL-2.0-or-later

/// The reaction to firewall rules that another program has removed.
package enum RulesGuardChoice: String, CaseIterable, Sendable {
    /// The loss is reported, and the rules are restored.
    case restore
    /// The loss is reported.
    case tell
    /// The rules are not monitored.
    case off
}
