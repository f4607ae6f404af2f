// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage
package import Wire

extension TOMLValue {
    /// The value, for error messages.
    private var subject: String {
        if let word { return "'\(word.printable)'" }
        return switch content {
        case .string(let text): "the string \"\(text.printable)\""
        case .integer(let number): "the number \(number)"
        case .float: "a number with a fraction"
        case .boolean(let value): "\(value)"
        case .time: "a date"
        case .timeOfDay: "a time of day"
        case .array: "an array"
        case .table: "a table"
        }
    }

    /// Returns a refusal of a value that is not what it should be.
    fileprivate func isNot(_ what: String, give form: String? = nil) -> Refusal {
        Refusal("\(subject) is not \(what)" + (form.map { ": give \($0)" } ?? ""), at: position)
    }

    fileprivate func string(_ what: String, give form: String? = nil) throws(Refusal) -> String {
        guard case .string(let text) = content else { throw isNot(what, give: form) }
        return text
    }

    /// The members of an array.
    ///
    /// Any other value counts as an array with one member.
    fileprivate var members: [TOMLValue] {
        if case .array(let values) = content { values } else { [self] }
    }

    /// Reads a list whose members must differ.
    fileprivate func list<Member: Equatable>(
        _ name: (Member) -> String, _ read: (TOMLValue) throws(Refusal) -> Member
    ) throws(Refusal) -> [Member] {
        var list: [Member] = []
        for member in members {
            let next = try read(member)
            guard !list.contains(next) else { throw Refusal("\(name(next)) is there twice", at: member.position) }
            list.append(next)
        }
        return list
    }

    fileprivate func port() throws(Refusal) -> UInt16 {
        guard case .integer(let value) = content, let port = UInt16(exactly: value), port != 0 else {
            throw isNot("a TCP port", give: "a number from 1 to 65535")
        }
        return port
    }

    fileprivate func address() throws(Refusal) -> IPAddress {
        guard case .string(let text) = content, let address = IPAddress(text) else {
            throw isNot("an IP address, such as 192.0.2.7 or 2001:db8::7")
        }
        return address
    }

    fileprivate func prefix() throws(Refusal) -> IPPrefix {
        guard case .string(let text) = content, let prefix = IPPrefix(text) else {
            throw isNot("an IP address or prefix, such as 192.0.2.7 or 2001:db8::/32")
        }
        return prefix
    }

    /// Reads places; with `own`, the host itself can be one.
    fileprivate func places(own: Bool) throws(Refusal) -> [Place] {
        try list({ "\($0)" }) { member throws(Refusal) in
            guard case .string(let text) = member.content, let place = Place(text), own || place != .own else {
                throw member.isNot(
                    "known here",
                    give: (own ? "\"own\", " : "") + "an address, a prefix such as 10.0.0.0/24, or interface:NAME")
            }
            return place
        }
    }

    /// Reads a path, which starts at the folder if it is relative.
    fileprivate func path(in folder: FilePath) throws(Refusal) -> FilePath {
        let text = try string("a path")
        guard !text.isEmpty else { throw Refusal("the path is empty", at: position) }
        guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) else {
            throw Refusal("a path with control characters", at: position)
        }
        return folder.pushing(FilePath(text))
    }
}

extension ValueKind<Bool> {
    /// True or false.
    ///
    /// A flag changes the default by its presence.
    static let boolean = ValueKind(
        "", .presence,
        { value, _ throws(Refusal) in
            guard case .boolean(let isTrue) = value.content else { throw value.isNot("true or false") }
            return isTrue
        },
        { .bare("\($0)") })
}

extension ValueKind<UInt32> {
    /// A whole number in a range.
    ///
    /// - Parameters:
    ///   - range: The numbers that are accepted.
    ///   - what: What the number is, with an article, for error messages.
    ///   - unit: The unit, in the plural; nil for a bare number.
    /// - Returns: The kind.
    static func number(_ range: ClosedRange<UInt32>, _ what: String, unit: String? = nil) -> Self {
        ValueKind(
            unit ?? "number", .number, range: range,
            { value, _ throws(Refusal) in
                guard case .integer(let given) = value.content, let number = UInt32(exactly: given),
                    range.contains(number)
                else {
                    let unit = unit.map { " (\($0))" } ?? ""
                    throw value.isNot(what, give: "a number from \(range.lowerBound) to \(range.upperBound)\(unit)")
                }
                return number
            },
            { .bare("\($0)") })
    }

    /// A packet mark with exactly one bit set.
    package static let markBit = ValueKind(
        "bit", .anyNumber,
        { value, _ throws(Refusal) in
            guard case .integer(let given) = value.content, let mark = UInt32(exactly: given), mark.nonzeroBitCount == 1
            else { throw value.isNot("a mark bit", give: "a 32-bit number with one bit set, such as 0x1000") }
            return mark
        },
        { .bare("0x" + String($0, radix: 16)) })
}

extension ValueKind<UInt16> {
    /// A TCP port.
    package static let port = ValueKind(
        "port", .number, { value, _ throws(Refusal) in try value.port() }, { .bare("\($0)") })

    /// The number of a queue.
    package static let queue = ValueKind(
        "number", .number,
        { value, _ throws(Refusal) in
            guard case .integer(let given) = value.content, let number = UInt16(exactly: given) else {
                throw value.isNot("a queue number", give: "a number from 0 to 65535")
            }
            return number
        },
        { .bare("\($0)") })
}

extension ValueKind<[UInt16]> {
    /// TCP ports.
    static let ports = ValueKind(
        "port", .number, list: true,
        { value, _ throws(Refusal) in
            try value.list({ "port \($0)" }) { member throws(Refusal) in try member.port() }
        },
        { .array($0.map { .bare("\($0)") }) })
}

extension ValueKind<ClosedRange<UInt16>> {
    /// One queue, or several with consecutive numbers.
    package static let queues = ValueKind(
        "number", .number,
        { value, _ throws(Refusal) in
            switch value.content {
            case .integer(let number):
                if let number = UInt16(exactly: number) { return number...number }
            case .string(let text):
                if let range = QueueNumbers.range(text) { return range }
            default: break
            }
            throw value.isNot(
                "a queue number or range",
                give: "a number from 0 to 65535, or two with a colon between, such as 100:103, for at most "
                    + "\(QueueNumbers.maximumCount) queues")
        },
        { $0.count == 1 ? .bare("\($0.lowerBound)") : .string(QueueNumbers.text($0)) })
}

extension ValueKind where Value: RawRepresentable<String> & CaseIterable {
    /// One of the words of an enumeration.
    static func choice(_ placeholder: String) -> Self {
        let words = Value.allCases.map(\.rawValue)
        return ValueKind(
            placeholder, .word, choices: words,
            { value, _ throws(Refusal) in
                let choices = "one of \(words.map { "\"\($0)\"" }.joined(separator: ", "))"
                let text = try value.string(choices)
                if let choice = Value(rawValue: text) { return choice }
                var refusal = value.isNot(choices)
                if let nearest = nearest(to: text, among: words) {
                    refusal = Refusal("\(refusal.text); did you mean \"\(nearest)\"?", at: value.position)
                }
                throw refusal
            },
            { .string($0.rawValue) })
    }
}

extension ValueKind<IPAddress> {
    /// The address of a host.
    package static let address = ValueKind(
        "address", .word, { value, _ throws(Refusal) in try value.address() }, { .string($0.description) })
}

extension ValueKind<IPPrefix> {
    /// An address or a prefix.
    package static let prefix = ValueKind(
        "address-or-prefix", .word, { value, _ throws(Refusal) in try value.prefix() }, { .string($0.description) })
}

extension ValueKind<[IPPrefix]> {
    /// Addresses and prefixes.
    static let prefixes = ValueKind(
        "address-or-prefix", .word, list: true,
        { value, _ throws(Refusal) in
            try value.list({ "\($0)" }) { member throws(Refusal) in try member.prefix() }
        },
        { .array($0.map { .string($0.description) }) })
}

extension ValueKind<[Place]> {
    /// The destinations whose ports are protected.
    static let destinations = places("what", own: true)

    /// Sources of packets.
    static let sources = places("whom", own: false)

    private static func places(_ placeholder: String, own: Bool) -> Self {
        ValueKind(
            placeholder, .word, list: true, { value, _ throws(Refusal) in try value.places(own: own) },
            { .array($0.map { .string($0.description) }) })
    }
}

extension ValueKind<FilePath> {
    /// A path.
    static let path = ValueKind(
        "path", .word, { value, folder throws(Refusal) in try value.path(in: folder) }, { .string($0.string) })
}

extension ValueKind<FilePath?> {
    /// A path, or an empty string for none.
    static let pathOrNone = ValueKind(
        "path", .word,
        { value, folder throws(Refusal) in
            if case .string("") = value.content { return nil }
            return try value.path(in: folder)
        },
        { .string($0?.string ?? "") })
}

extension ValueKind<String?> {
    /// `NAME` or `NAME:GROUP` of a user, or an empty string for none.
    ///
    /// Whether they exist is not checked.
    package static let userOrNone = ValueKind(
        "name[:group]", .word,
        { value, _ throws(Refusal) in
            let text = try value.string("the name of a user")
            if text.isEmpty { return nil }
            guard UserName(text) != nil else {
                throw value.isNot("a user, nor a user and a group as in name:group")
            }
            return text
        },
        { .string($0 ?? "") })
}

extension ValueKind<String> {
    /// The name of a guest: 1 to 64 bytes without spaces and control characters.
    static let name = ValueKind(
        "name", .word,
        { value, _ throws(Refusal) in
            let text = try value.string("a name")
            guard !text.isEmpty else { throw Refusal("the name is empty", at: value.position) }
            guard text.utf8.count <= 64 else { throw Refusal("the name is longer than 64 bytes", at: value.position) }
            let isPlain = text.unicodeScalars.allSatisfy { !$0.properties.isWhitespace } && text.printable == text
            guard isPlain else {
                throw Refusal(
                    "\"\(text.printable)\" has spaces or control characters in it, which a name cannot have",
                    at: value.position)
            }
            return text
        },
        { .string($0) })

    /// The name of one of several servers on a host, which firewall/server.sh also uses in the names of chains.
    package static let instance = ValueKind(
        "name", .word,
        { value, _ throws(Refusal) in
            guard case .string(let text) = value.content, (1...10).contains(text.utf8.count), text.first != "-",
                text.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") })
            else {
                throw value.isNot(
                    "a name for an instance", give: "1 to 10 letters, digits and -, not beginning with -")
            }
            return text
        },
        { .string($0) })
}

extension ValueKind<String> {
    /// The fingerprint of a key.
    static let fingerprint = ValueKind(
        "fingerprint", .word,
        { value, _ throws(Refusal) in
            guard case .string(let text) = value.content, text.utf8.count == 39 else {
                throw value.isNot("a fingerprint", give: "8 groups of 4 digits")
            }
            return text
        },
        { .string($0) })
}

extension ValueKind<TargetHost> {
    /// The address, prefix or name of a target.
    static let host = ValueKind(
        "host", .word,
        { value, _ throws(Refusal) in
            guard case .string(let text) = value.content, let host = TargetHost(text) else {
                throw value.isNot("an address, a prefix or a name of a host")
            }
            return host
        },
        { .string($0.description) })
}

extension ValueKind<Int64> {
    /// A time, in seconds since 1970.
    static let time = ValueKind(
        "time", .word,
        { value, _ throws(Refusal) in
            guard case .time(let seconds) = value.content else {
                throw value.isNot("a date", give: "one such as 2027-01-01 or 2027-01-01T12:00:00Z, without quotes")
            }
            return seconds
        },
        { .bare(TOMLText.time($0)) })
}

extension ValueKind<HookCommand> {
    /// A command: a string for the shell, or an array with the program and its arguments.
    static let command = ValueKind(
        "command", .word,
        { value, _ throws(Refusal) in
            let form =
                "a string for the shell, or an array of strings with the absolute path of a program and its "
                + "arguments"
            guard case .array(let members) = value.content else {
                let text = try value.string("a command", give: form)
                guard !text.contains("\0"), let command = HookCommand(shell: text) else {
                    throw Refusal("the command is empty", at: value.position)
                }
                return command
            }
            var arguments: [String] = []
            for member in members {
                let argument = try member.string("an argument", give: form)
                guard !argument.contains("\0") else {
                    throw Refusal("an argument with a zero byte", at: member.position)
                }
                arguments.append(argument)
            }
            guard let program = arguments.first, program.hasPrefix("/"), let command = HookCommand(arguments: arguments)
            else { throw value.isNot("a command", give: form) }
            return command
        },
        { .array($0.arguments.map { .string($0) }) })
}

extension ValueKind<NATAddress> {
    /// `auto`, an address, or one address for each family.
    package static let nat = ValueKind(
        "address", .word, list: true,
        { value, _ throws(Refusal) in
            if case .string("auto") = value.content { return .automatic }
            var addresses: [IPFamily: IPAddress] = [:]
            for member in value.members {
                if case .string("auto") = member.content {
                    throw Refusal("\"auto\" stands for all addresses; give nothing beside it", at: member.position)
                }
                let address = try member.address()
                guard addresses.updateValue(address, forKey: address.family) == nil else {
                    throw Refusal(
                        "two addresses for IPv\(address.family.rawValue); give one for each family",
                        at: member.position)
                }
            }
            return addresses.isEmpty ? .none : .addresses(addresses)
        },
        { nat in
            switch nat {
            case .none: return .array([])
            case .automatic: return .string("auto")
            case .addresses(let addresses):
                let texts = IPFamily.allCases.compactMap { addresses[$0].map { TOMLLiteral.string($0.description) } }
                return texts.count == 1 ? texts[0] : .array(texts)
            }
        })
}
