// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage
internal import Wire

extension TOMLValue {
    /// A description of the value for error messages.
    private var kind: String {
        switch content {
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

    private func expected(_ what: String) -> Refusal { Refusal("\(kind), where \(what) is expected", at: position) }

    func boolean() throws(Refusal) -> Bool {
        guard case .boolean(let value) = content else { throw expected("true or false") }
        return value
    }

    func string(_ what: String) throws(Refusal) -> String {
        guard case .string(let text) = content else { throw expected(what) }
        return text
    }

    /// Returns a whole number in a range.
    func number(_ range: ClosedRange<UInt32>, _ unit: String = "") throws(Refusal) -> UInt32 {
        let what = "a number from \(range.lowerBound) to \(range.upperBound)\(unit.isEmpty ? "" : " (\(unit))")"
        guard case .integer(let value) = content, let number = UInt32(exactly: value), range.contains(number) else {
            throw expected(what)
        }
        return number
    }

    func choice<Choice: RawRepresentable<String> & CaseIterable>() throws(Refusal) -> Choice {
        let choices = "one of \(Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))"
        let text = try string(choices)
        guard let choice = Choice(rawValue: text) else {
            let nearest = nearest(to: text, among: Choice.allCases.map(\.rawValue))
            throw Refusal(
                "\(kind), where \(choices) is expected" + (nearest.map { "; did you mean \"\($0)\"?" } ?? ""),
                at: position)
        }
        return choice
    }

    /// The members of an array.
    ///
    /// Any other value counts as an array with one member.
    private var members: [TOMLValue] {
        if case .array(let values) = content { values } else { [self] }
    }

    func port() throws(Refusal) -> UInt16 {
        guard case .integer(let value) = content, let port = UInt16(exactly: value), port != 0 else {
            throw expected("a TCP port, a number from 1 to 65535,")
        }
        return port
    }

    func ports() throws(Refusal) -> [UInt16] {
        var ports: [UInt16] = []
        for member in members {
            let port = try member.port()
            guard !ports.contains(port) else { throw Refusal("port \(port) is there twice", at: member.position) }
            ports.append(port)
        }
        return ports
    }

    func queues() throws(Refusal) -> ClosedRange<UInt16> {
        let what =
            "a queue number from 0 to 65535, or two in a string such as \"100:103\" for at most "
            + "\(QueueNumbers.maximumCount) queues,"
        switch content {
        case .integer(let value):
            guard let number = UInt16(exactly: value) else { throw expected(what) }
            return number...number
        case .string(let text):
            guard let range = QueueNumbers.range(text) else { throw expected(what) }
            return range
        default: throw expected(what)
        }
    }

    func markBit() throws(Refusal) -> UInt32 {
        guard case .integer(let value) = content, let mark = UInt32(exactly: value), mark.nonzeroBitCount == 1 else {
            throw expected("a 32-bit number with exactly one bit set, such as 0x1000,")
        }
        return mark
    }

    func address() throws(Refusal) -> IPAddress {
        guard let address = IPAddress(try string("an IP address")) else {
            throw expected("an IP address, such as 192.0.2.7 or 2001:db8::7,")
        }
        return address
    }

    func prefix() throws(Refusal) -> IPPrefix {
        guard let prefix = IPPrefix(try string("an IP address or prefix")) else {
            throw expected("an IP address or prefix, such as 192.0.2.7 or 2001:db8::/32,")
        }
        return prefix
    }

    func prefixes() throws(Refusal) -> [IPPrefix] {
        var prefixes: [IPPrefix] = []
        for member in members { prefixes.append(try member.prefix()) }
        return prefixes
    }

    /// Returns the destinations whose ports are protected.
    func protectedPlaces() throws(Refusal) -> [Place] {
        let places = try places(
            "\"own\", an address or prefix, such as \"10.0.0.0/24\", or \"interface:\" and a name,")
        guard !places.isEmpty else { throw Refusal("nothing would be protected", at: position) }
        return places
    }

    /// Returns the sources that need no knock.
    func exemptPlaces() throws(Refusal) -> [Place] {
        let what = "an address or prefix, such as \"10.0.0.0/8\", or \"interface:\" and a name,"
        let places = try places(what)
        guard !places.contains(.own) else { throw expected(what) }
        return places
    }

    private func places(_ what: String) throws(Refusal) -> [Place] {
        var places: [Place] = []
        for member in members {
            guard let place = Place(try member.string(what)) else { throw member.expected(what) }
            guard !places.contains(place) else { throw Refusal("\(place) is there twice", at: member.position) }
            places.append(place)
        }
        return places
    }

    /// Returns a path.
    ///
    /// A relative one is made absolute with the folder of the file.
    func path(in folder: FilePath) throws(Refusal) -> FilePath {
        let text = try string("a path")
        guard !text.isEmpty else { throw Refusal("the path is empty", at: position) }
        guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) else {
            throw Refusal("a path with control characters", at: position)
        }
        return folder.pushing(FilePath(text))
    }

    /// Returns a path; nil for an empty string.
    func optionalPath(in folder: FilePath) throws(Refusal) -> FilePath? {
        if case .string("") = content { return nil }
        return try path(in: folder)
    }

    /// Returns a command: a string for the shell, or an array with the program and its arguments.
    func command() throws(Refusal) -> HookCommand {
        let what =
            "a string for the shell, or an array of strings with the absolute path of a program and its "
            + "arguments,"
        guard case .array(let members) = content else {
            let text = try string(what)
            guard !text.contains("\0"), let command = HookCommand(shell: text) else {
                throw Refusal("the command is empty", at: position)
            }
            return command
        }
        var arguments: [String] = []
        for member in members {
            let argument = try member.string(what)
            guard !argument.contains("\0") else { throw Refusal("an argument with a zero byte", at: member.position) }
            arguments.append(argument)
        }
        guard let program = arguments.first, program.hasPrefix("/"), let command = HookCommand(arguments: arguments)
        else { throw expected(what) }
        return command
    }

    func time() throws(Refusal) -> Int64 {
        guard case .time(let seconds) = content else {
            throw expected("a date such as 2027-01-01 or 2027-01-01T12:00:00Z, without quotes,")
        }
        return seconds
    }

    /// Returns `"auto"`, an address, or an array with one address per family.
    func nat() throws(Refusal) -> NATAddress {
        if case .string("auto") = content { return .automatic }
        var addresses: [IPFamily: IPAddress] = [:]
        for member in members {
            let address: IPAddress
            if case .string("auto") = member.content {
                throw Refusal("\"auto\" and addresses cannot go together", at: member.position)
            } else {
                address = try member.address()
            }
            guard addresses.updateValue(address, forKey: address.family) == nil else {
                throw Refusal(
                    "two addresses for IPv\(address.family.rawValue); give one for each family", at: member.position)
            }
        }
        return addresses.isEmpty ? .none : .addresses(addresses)
    }

    /// Returns a name: 1 to 64 bytes without spaces and control characters.
    func name() throws(Refusal) -> String {
        let text = try string("a name")
        guard !text.isEmpty else { throw Refusal("the name is empty", at: position) }
        guard text.utf8.count <= 64 else { throw Refusal("the name is longer than 64 bytes", at: position) }
        let isPlain = text.unicodeScalars.allSatisfy { !$0.properties.isWhitespace } && text.printable == text
        guard isPlain else {
            throw Refusal(
                "\"\(text.printable)\" has spaces or control characters in it, which a name cannot have", at: position)
        }
        return text
    }

    /// Returns `NAME` or `NAME:GROUP`; nil for an empty string.
    ///
    /// Whether they exist is not checked.
    func optionalUser() throws(Refusal) -> String? {
        let text = try string("the name of a user")
        if text.isEmpty { return nil }
        guard UserName(text) != nil else { throw expected("a user, or a user and a group as in \"name:group\",") }
        return text
    }

    func host() throws(Refusal) -> TargetHost {
        let text = try string("an address, a prefix or a name of a host")
        guard let host = TargetHost(text) else { throw expected("an address, a prefix or a name of a host") }
        return host
    }
}

extension TargetHost: LosslessStringConvertible {
    /// Parses an address, a prefix or a host name (RFC 1123 §2.1, but also with underscores); nil if the text is none
    /// of these.
    package init?(_ text: String) {
        if let prefix = IPPrefix(text) {
            self = .prefix(prefix)
            return
        }
        var labels = text.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        if labels.count > 1, labels.last == "" { labels.removeLast() }
        let isName = labels.allSatisfy { label in
            !label.isEmpty && label.utf8.count <= 63 && label.first != "-" && label.last != "-"
                && label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        }
        // If the last label consists of digits only, this is a mistyped address.
        guard isName, text.utf8.count <= 253, let last = labels.last, !last.allSatisfy(\.isNumber)
        else { return nil }
        self = .name(labels.joined(separator: "."))
    }

    /// The host in the syntax of the settings.
    ///
    /// A prefix of a single address is written without its length.
    package var description: String {
        switch self {
        case .prefix(let prefix): prefix.mappedLength == 128 ? prefix.address.description : prefix.description
        case .name(let name): name
        }
    }
}
