// SPDX-License-Identifier: GPL-2.0-or-later
internal import ArgumentParser
package import Settings
package import Wire

extension LogLevel: ExpressibleByArgument {}
extension LogFormat: ExpressibleByArgument {}
extension LogTarget: ExpressibleByArgument {}
extension IPTablesChoice: ExpressibleByArgument {}
extension FailureAnswer: ExpressibleByArgument {}
extension GuestSearch: ExpressibleByArgument {}
extension LockoutScope: ExpressibleByArgument {}
extension KernelFilterChoice: ExpressibleByArgument {}
extension RulesGuardChoice: ExpressibleByArgument {}
extension MaskChoice: ExpressibleByArgument {}

/// Parses TCP ports given as flags.
package enum Port {
    /// Parses a port number, 1 to 65535.
    package static func parse(_ text: String) throws -> UInt16 {
        guard text.first?.isNumber == true, let port = UInt16(text), port != 0 else {
            throw ValidationError("'\(text)' is not a TCP port: give a number from 1 to 65535")
        }
        return port
    }
}

/// Parses ranges of queues given as flags.
package enum QueueRange {
    /// Parses `FIRST` or `FIRST:LAST`, the syntax of iptables' `--queue-balance`.
    package static func parse(_ text: String) throws -> ClosedRange<UInt16> {
        guard let range = QueueNumbers.range(text) else {
            throw ValidationError(
                "'\(text)' is not a queue number or range: give a number from 0 to 65535, or two with a colon between, "
                    + "such as 100:103, for at most \(QueueNumbers.maximumCount) queues")
        }
        return range
    }
}

/// Parses queue numbers given as flags.
package enum QueueNumber {
    /// Parses a queue number, 0 to 65535.
    package static func parse(_ text: String) throws -> UInt16 {
        guard text.first?.isNumber == true, let number = UInt16(text) else {
            throw ValidationError("'\(text)' is not a queue number: give a number from 0 to 65535")
        }
        return number
    }
}

/// Parses the name of one of several servers on a host, given as a flag.
package enum InstanceName {
    /// Parses a name, which firewall/server.sh also uses in the names of chains.
    package static func parse(_ text: String) throws -> String {
        let isName =
            (1...10).contains(text.utf8.count) && text.first != "-"
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
        guard isName else {
            throw ValidationError(
                "'\(text)' is not a name for an instance; give 1 to 10 letters, digits and -, not beginning with -")
        }
        return text
    }
}

/// Parses addresses given as flags.
package enum AddressArgument {
    /// Parses an address of a host.
    package static func parse(_ text: String) throws -> IPAddress {
        guard let address = IPAddress(text) else {
            throw ValidationError("'\(text)' is not an IP address, such as 192.0.2.7 or 2001:db8::7")
        }
        return address
    }

    /// Parses an address or a prefix.
    package static func parsePrefix(_ text: String) throws -> IPPrefix {
        guard let prefix = IPPrefix(text) else {
            throw ValidationError("'\(text)' is not an IP address or prefix, such as 192.0.2.7 or 2001:db8::/32")
        }
        return prefix
    }
}

/// Parses places given as flags.
package enum PlaceArgument {
    /// Parses `own`, an address, a prefix, or `interface:NAME`.
    package static func parse(_ text: String) throws -> Place {
        guard let place = Place(text) else {
            throw ValidationError(
                "'\(text)' is not known; give own, an address, a prefix such as 10.0.0.0/24, or interface:NAME")
        }
        return place
    }

    /// Parses an address, a prefix, or `interface:NAME`.
    package static func parseSource(_ text: String) throws -> Place {
        guard let place = Place(text), place != .own else {
            throw ValidationError(
                "'\(text)' is not known; give an address, a prefix such as 10.0.0.0/8, or interface:NAME")
        }
        return place
    }
}

/// Parses numbers in a range, given as flags.
package enum NumberArgument {
    /// Returns a parser for such a number.
    ///
    /// `what` and `unit` are used in its error messages.
    package static func parse(
        _ range: ClosedRange<UInt32>, _ what: String, _ unit: String = ""
    ) -> @Sendable (String) throws -> UInt32 {
        { text in
            guard text.first?.isNumber == true, let number = UInt32(text), range.contains(number) else {
                throw ValidationError(
                    "'\(text)' is no \(what): that is \(range.lowerBound) to \(range.upperBound)\(unit)")
            }
            return number
        }
    }
}

/// A value of `--nat-ip`: an address, or `auto`.
package enum NATArgument: Equatable, Sendable {
    /// Servers see this address.
    case address(IPAddress)
    /// The address that servers see is unknown.
    case automatic

    /// Parses `auto` or an address.
    package static func parse(_ text: String) throws -> NATArgument {
        text == "auto" ? .automatic : .address(try AddressArgument.parse(text))
    }

    /// Combines the given values; nil if there are none.
    package static func join(_ arguments: [NATArgument]) throws -> NATAddress? {
        guard !arguments.isEmpty else { return nil }
        if arguments == [.automatic] { return .automatic }
        var addresses: [IPFamily: IPAddress] = [:]
        for argument in arguments {
            guard case .address(let address) = argument else {
                throw ValidationError("--nat-ip auto stands for all addresses; give nothing beside it")
            }
            guard addresses.updateValue(address, forKey: address.family) == nil else {
                throw ValidationError(
                    "--nat-ip was given twice for IPv\(address.family.rawValue); give one address for each family")
            }
        }
        return .addresses(addresses)
    }
}

/// Parses a user, optionally with a group, given as a flag.
package enum UserArgument {
    /// Parses `NAME`, `NAME:GROUP`, or an empty string.
    package static func parse(_ text: String) throws -> String {
        guard text.isEmpty || UserName(text) != nil else {
            throw ValidationError("'\(text)' is neither a user nor a user and a group as in name:group")
        }
        return text
    }
}

/// Parses a bit of the packet mark, given as a flag.
package enum MarkBit {
    /// Parses a mark with exactly one bit set, in decimal or in hexadecimal with 0x.
    package static func parse(_ text: String) throws -> UInt32 {
        let isHexadecimal = text.hasPrefix("0x") || text.hasPrefix("0X")
        let mark = isHexadecimal ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
        guard let mark, mark.nonzeroBitCount == 1, !text.contains("+") else {
            throw ValidationError("'\(text)' is not a mark bit: give a 32-bit number with one bit set, such as 0x1000")
        }
        return mark
    }
}
