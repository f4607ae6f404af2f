// SPDX-License-Identifier: GPL-2.0-or-later
import Capture
import Glibc
import Program

extension FatalError {
    /// Makes an error with the exit status for packets that cannot be read, captured or sent.
    init(_ error: CaptureError) {
        let status =
            switch error {
            case .cannotOpen(_, _, let isMissing): isMissing ? EX_NOINPUT : EX_NOPERM
            case .damaged, .unknownLinkLayer: EX_DATAERR
            case .notPermitted: EX_NOPERM
            case .unreachable: EX_NOHOST
            case .failed: EX_OSERR
            }
        self.init(error.description, status: status)
    }
}
