// SPDX-License-Identifier: GPL-2.0-or-later
internal import JSONText
internal import Program

extension DoctorSubject {
    /// A one-line description of what is examined.
    var description: String {
        let ports = Examination.text(ports: targetPorts)
        let marks = role == .server ? ", mark \(markText)" : ""
        return "\(installation.title): queue \(queueText), \(ports)\(marks) (by \(origin))"
    }
}
