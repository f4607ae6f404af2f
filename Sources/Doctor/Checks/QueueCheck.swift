// SPDX-License-Identifier: GPL-2.0-or-later
internal import Netfilter
internal import SystemPackage

/// A check that the daemon is bound to its queues and keeps up.
enum QueueCheck {
    private static let name = "queue"
    /// The number of waiting packets that is a sign of trouble.
    ///
    /// Verdicts take microseconds, so few packets wait for a healthy daemon.
    private static let manyWaiting: UInt32 = 256

    static func run(_ examination: Examination) -> [Finding] {
        switch examination.host.read(QueueListing.path.string) {
        case .missing:
            return [Finding(name, .note, "this kernel has no queues now, so nobody can be bound to one")]
        case .refused:
            return [Examination.unseen(name, "who is bound to queue \(examination.subject.queueText)")]
        case .text(let text, _):
            let entries = QueueStatistics.parse(text)
            return examination.subject.queues.flatMap { number in
                findings(number, entries.first { $0.number == number }, examination)
            }
        }
    }

    private static func findings(_ number: UInt16, _ entry: QueueStatistics?, _ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard let entry else {
            return [
                Finding(
                    name, .error, "no process listens to queue \(number): \(subject.role.withoutDaemon)",
                    cure: subject.daemonCommand)
            ]
        }
        var findings = losses(entry, subject)
        guard let owner = owner(of: entry, examination.host) else {
            findings.append(
                examination.host.userID == 0
                    ? Finding(
                        name, .note,
                        "queue \(number) is bound (netlink port \(entry.holder)), but by no process that can be seen here"
                    )
                    : Examination.unseen(name, "which process is bound to queue \(number)"))
            return findings
        }
        guard owner.name == subject.role.program else {
            findings.append(
                Finding(
                    name, .error,
                    "queue \(number) is bound by \(owner.name), process \(owner.number), not by \(subject.role.program)",
                    cure: "end that one (kill \(owner.number)), or give the daemon and the rules another --queue-num"))
            return findings
        }
        if let other = examination.processes.daemons.first(where: { $0.number == owner.number })?.installation,
            other != subject.installation
        {
            findings.append(
                Finding(
                    name, .error,
                    "queue \(number) is bound by another server of this host, process \(owner.number): "
                        + "\(other.title)", cure: "give one of them, and its rules, another --queue-num"))
        }
        return Examination.findings(findings, or: name, "\(number) is bound by \(owner.name), process \(owner.number)")
    }

    private static func losses(_ entry: QueueStatistics, _ subject: DoctorSubject) -> [Finding] {
        var findings: [Finding] = []
        if entry.droppedInQueue > 0 || entry.droppedOnTheWay > 0 {
            findings.append(
                Finding(
                    name, .warning,
                    "queue \(entry.number) has lost packets since it was bound: \(entry.droppedInQueue) because too "
                        + "many waited, \(entry.droppedOnTheWay) because the daemon's socket was full",
                    cure: subject.role == .server
                        ? "several queues, for daemon and rules: --queue-num \(subject.queues.lowerBound):"
                            + "\(min(Int(subject.queues.lowerBound) + 3, 65535)); and the kernel filter, if there is none"
                        : "look at what opens so many connections; the client's rules let packets pass when that happens"
                ))
        }
        if entry.waiting > manyWaiting {
            findings.append(
                Finding(
                    name, .warning, "\(entry.waiting) packets wait in queue \(entry.number)",
                    cure: "look whether the daemon is stopped, or the processor busy: ps -o pid,stat,pcpu,comm -C "
                        + subject.role.program))
        }
        return findings
    }

    /// The process that is bound to the queue, or to the first of several; nil if it is unknown.
    static func owner(_ examination: Examination) -> Int32? {
        let entries = QueueStatistics.parse(examination.host.read(QueueListing.path.string).text ?? "")
        let entry = entries.first { $0.number == examination.subject.queues.lowerBound }
        return entry.flatMap { owner(of: $0, examination.host)?.number }
    }

    private static func owner(of entry: QueueStatistics, _ host: Host) -> (number: Int32, name: String)? {
        guard let sockets = host.read("/proc/net/netlink").text,
            let inode = NetlinkOwner.inode(ofPort: entry.holder, in: sockets),
            let number = NetlinkOwner.process(withSocket: inode, guess: entry.holder, host)
        else { return nil }
        let name = host.read("/proc/\(number)/comm").text?.split(separator: "\n").first.map(String.init)
        return (number, name ?? "an unknown program")
    }
}
