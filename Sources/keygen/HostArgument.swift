// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
internal import Program
import Settings

/// The argument of `--host`.
enum HostArgument {
    static func parse(_ text: String) throws -> TargetHost {
        guard let host = TargetHost(text), host.isOne else {
            throw ValidationError("'\(text)' is neither an address nor a host name")
        }
        return host
    }
}
