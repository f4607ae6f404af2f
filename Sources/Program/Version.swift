// SPDX-License-Identifier: GPL-2.0-or-later

/// The version of all programs of the package.
package let version = "0.1.0"
