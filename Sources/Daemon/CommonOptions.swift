// SPDX-License-Identifier: GPL-2.0-or-later
package import ArgumentParser
package import KnockProtocol
package import Logging
package import NetfilterQueue
internal import SystemPackage
package import Wire

/// The flags that both daemons have.
package struct CommonOptions: ParsableArguments {
    /// Where the key is.
    @Option(
        name: [.customLong("key-file"), .customLong("key_file")],
        help: ArgumentHelp("The key file that both hosts share.", valueName: "path"))
    package var keyFile = "/etc/port_protector.dat"

    /// The ports of the protected services.
    @Option(
        name: [.customLong("target-port"), .customLong("target_port")], parsing: .singleValue,
        help: ArgumentHelp("The port of a protected service; may be given again. (default: 22)", valueName: "port"),
        transform: Port.parse)
    package var targetPorts: [UInt16] = []

    /// Whether codes depend on the time.
    @Flag(
        name: [.customLong("no-time"), .customLong("no_time")],
        help: "Do not bind codes to the minute, for hosts without a clock. Both sides must agree.")
    package var noTime = false

    /// How much is logged.
    @Option(
        name: [.customLong("log-level"), .customLong("log_level")],
        help: ArgumentHelp("How much is logged.", valueName: "level"))
    package var logLevel = LogLevel.info

    /// How log lines look.
    @Option(
        name: [.customLong("log-format"), .customLong("log_format")],
        help: ArgumentHelp(
            "How log lines look; journal is text with the priorities of sd-daemon(3).", valueName: "format"))
    package var logFormat = LogFormat.text

    /// Where the log goes.
    @Option(
        name: [.customLong("log-target"), .customLong("log_target")],
        help: ArgumentHelp("Where log lines go.", valueName: "target"))
    package var logTarget = LogTarget.stderr

    /// Takes the defaults.
    package init() {}

    /// The ports of the protected services, with the default where none was given.
    package var effectiveTargetPorts: [UInt16] { targetPorts.isEmpty ? [22] : targetPorts }

    /// Makes the logger that the flags ask for.
    package func logger(_ label: String) -> Logger {
        let handler =
            switch logTarget {
            case .stderr: LogLineHandler(level: logLevel, format: logFormat)
            case .syslog: LogLineHandler(level: logLevel, format: logFormat, syslog: Syslog(program: label))
            }
        return Logger(label: label) { _ in handler }
    }

    /// Reads the key file.
    package func readKeys() throws(FatalError) -> KeySchedule {
        do throws(KeyFileError) {
            return try KeyFile.read(FilePath(keyFile))
        } catch {
            throw FatalError(error)
        }
    }

    /// Binds a queue.
    package func bindQueue(_ number: UInt16, _ options: Queue.Options) throws(FatalError) -> Queue {
        do throws(SystemError) {
            return try Queue(number: number, options: options)
        } catch {
            throw FatalError(binding: number, error)
        }
    }

    /// What both daemons say of themselves when they are ready.
    package func details(queues: ClosedRange<UInt16>, keys: KeySchedule) -> Logger.Metadata {
        let queue = queues.count == 1 ? "\(queues.lowerBound)" : "\(queues.lowerBound):\(queues.upperBound)"
        return [
            "version": "\(version)", "queue": "\(queue)", "key": "\(keys.fingerprint)",
            "ports": "\(effectiveTargetPorts.map(String.init).joined(separator: ","))",
        ]
    }
}

/// TCP ports and queue numbers as flags.
package enum Port {
    /// Reads the number of a port.
    package static func parse(_ text: String) throws -> UInt16 {
        guard text.first?.isNumber == true, let port = UInt16(text), port != 0 else {
            throw ValidationError("'\(text)' is no TCP port: that is a number from 1 to 65535")
        }
        return port
    }
}

/// One or more consecutive queues as a flag.
package enum QueueRange {
    /// How many queues there can be: more threads than that have never helped.
    private static let maximumCount = 64

    /// Reads `FIRST` or `FIRST:LAST`, as `--queue-balance` of iptables has it.
    package static func parse(_ text: String) throws -> ClosedRange<UInt16> {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ $0.first?.isNumber == true }), let first = UInt16(parts[0]),
            let last = UInt16(parts[parts.count - 1]), first <= last, last - first < maximumCount
        else {
            throw ValidationError(
                "'\(text)' is no queue number or range: that is a number from 0 to 65535, or two with a colon between, "
                    + "such as 100:103, for at most \(maximumCount) queues")
        }
        return first...last
    }
}

/// Queue numbers as flags.
package enum QueueNumber {
    /// Reads the number of a queue.
    package static func parse(_ text: String) throws -> UInt16 {
        guard text.first?.isNumber == true, let number = UInt16(text) else {
            throw ValidationError("'\(text)' is no queue number: that is a number from 0 to 65535")
        }
        return number
    }
}

/// Addresses as flags.
package enum AddressArgument {
    /// Reads an address of a host.
    package static func parse(_ text: String) throws -> IPAddress {
        guard let address = IPAddress(text) else {
            throw ValidationError("'\(text)' is no IP address, such as 192.0.2.7 or 2001:db8::7")
        }
        return address
    }

    /// Reads an address or a prefix.
    package static func parsePrefix(_ text: String) throws -> IPPrefix {
        guard let prefix = IPPrefix(text) else {
            throw ValidationError("'\(text)' is no IP address or prefix, such as 192.0.2.7 or 2001:db8::/32")
        }
        return prefix
    }
}

/// A bit of the packet mark as a flag.
package enum MarkBit {
    /// The default, which differs from the bits that container platforms and VPNs commonly use (`firewall/server.sh`).
    package static let `default`: UInt32 = 0x1000

    /// Reads a mark with exactly one bit set, decimal or hexadecimal with 0x.
    package static func parse(_ text: String) throws -> UInt32 {
        let isHexadecimal = text.hasPrefix("0x") || text.hasPrefix("0X")
        let mark = isHexadecimal ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
        guard let mark, mark.nonzeroBitCount == 1, !text.contains("+") else {
            throw ValidationError("'\(text)' is no mark bit: that is a 32-bit number with one bit set, such as 0x1000")
        }
        return mark
    }
}
