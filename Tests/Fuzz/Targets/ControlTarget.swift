// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Netfilter

/// What comes over the control socket, from either end, and lines of /proc.
enum ControlTarget {
    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        let line = String(decoding: input, as: UTF8.self)
        if let (form, request) = ControlRequest.parse(line) {
            let written = request.line(form)
            try hold(written.utf8.count <= ControlRequest.maximumLength, "a longer line than is read: \(written)")
            let again = ControlRequest.parse(String(written.dropLast()))
            try hold(again?.form == form && again?.request == request, "read again, \(written) is something else")
        }
        if let (isDone, status) = ControlAnswer.head(line) {
            try hold(status >= (isDone ? 0 : 1) && status < 126, "exit status \(status)")
        }
        _ = QueueStatistics(line)
    }
}
