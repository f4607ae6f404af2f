// SPDX-License-Identifier: GPL-2.0-or-later

extension String {
    /// The text as one word of a command line for sh(1): unchanged, or in single quotes if a shell would read it
    /// otherwise.
    var shellWord: String {
        let plain = unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "/", ".", "_", "-", ":", ",", "@", "+", "=", "%": true
            default: false
            }
        }
        return plain && !isEmpty ? self : "'\(replacing("'", with: #"'\''"#))'"
    }
}
