// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// A setting: everything that the program knows about it but its effect.
///
/// Reading the configuration file, writing it back, flags, help texts, what a reload changes, and the sample
/// configuration all follow from it.
package struct Setting<Owner: SettingOwner>: Sendable {
    /// The key in the file; nil for a setting that has only a flag.
    package let key: String?
    /// The flag, for a setting of a daemon.
    package let flag: SettingFlag
    /// The placeholder for the value in help texts.
    package let placeholder: String
    /// What the setting does, in one sentence or two.
    package let help: String
    /// What the flag does.
    package let flagHelp: String
    /// The words to choose from; empty if there is no such choice.
    package let choices: [String]
    /// The values that are accepted, such as `1 to 10` or the words to choose from; nil if the help says it.
    package let values: String?
    /// The default; nil if the setting has none.
    package let usual: TOMLLiteral?
    /// A value, in TOML, to show for a setting without a default.
    let example: String?
    /// The moment at which a change in the file takes effect.
    package let change: SettingChange
    let firewall: FirewallUse
    /// The advice if the key is missing; nil if it need not be there.
    let required: String?
    /// The key that cannot be there at the same time.
    let rival: String?

    private let take: @Sendable (TOMLValue, FilePath, inout Owner) throws(Refusal) -> Void
    private let takeFlag: @Sendable ([String], inout Owner) throws(Refusal) -> Void
    private let write: @Sendable (Owner) -> TOMLLiteral?
    private let copy: @Sendable (Owner, inout Owner) -> Void
    private let compare: @Sendable (Owner, Owner) -> Bool

    /// Describes a setting.
    ///
    /// - Parameters:
    ///   - key: The key in the file; nil for a setting that has only a flag.
    ///   - path: Where its value is kept.
    ///   - kind: The kind of its value.
    ///   - flag: The name of its flag if that does not follow from the key.
    ///   - help: What it does, in one sentence or two.
    ///   - flagHelp: What the flag does if that is something else.
    ///   - shownDefault: The default if that is not the value in `Owner.defaults`.
    ///   - example: A value, in TOML, to show if there is no default.
    ///   - change: The moment at which a change takes effect.
    ///   - firewall: Its use by the firewall scripts.
    ///   - required: The advice if it is missing; nil if it need not be there.
    ///   - rival: The key that cannot be there at the same time.
    init<Value>(
        _ key: String?, _ path: any WritableKeyPath<Owner, Value> & Sendable, _ kind: ValueKind<Value>,
        flag: String? = nil, help: String, flagHelp: String? = nil,
        shownDefault: TOMLLiteral? = nil, example: String? = nil, change: SettingChange = .atReload,
        firewall: FirewallUse = .none, required: String? = nil, rival: String? = nil
    ) {
        (self.key, self.help, self.example, self.change) = (key, help, example, change)
        (self.firewall, self.required, self.rival) = (firewall, required, rival)
        (placeholder, choices, self.flagHelp) = (kind.placeholder, kind.choices, flagHelp ?? help)
        values =
            choices.isEmpty
            ? kind.range.map { "\($0.lowerBound) to \($0.upperBound)" } : choices.joined(separator: ", ")
        let name = flag ?? (key ?? "").split(separator: "_").joined(separator: "-")
        let isSwitch = kind.form == .presence
        self.flag = SettingFlag(name: name, isSwitch: isSwitch, isList: kind.isList)
        let usual = kind.write(Owner.defaults[keyPath: path])
        self.usual = required == nil ? shownDefault ?? usual : nil
        take = { value, folder, owner throws(Refusal) in owner[keyPath: path] = try kind.read(value, folder) }
        takeFlag = { texts, owner throws(Refusal) in
            // A flag without a value stands for what is not the default.
            owner[keyPath: path] = try kind.parse(isSwitch ? ["\(usual != .bare("true"))"] : texts)
        }
        write = { kind.write($0[keyPath: path]) }
        copy = { $1[keyPath: path] = $0[keyPath: path] }
        compare = { $0[keyPath: path] == $1[keyPath: path] }
    }

    /// Describes a setting that need not have a value.
    ///
    /// The parameters are those of the other initialiser.
    init<Value>(
        _ key: String?, _ path: any WritableKeyPath<Owner, Value?> & Sendable, _ kind: ValueKind<Value>,
        flag: String? = nil, help: String, flagHelp: String? = nil,
        shownDefault: TOMLLiteral? = nil, example: String? = nil, change: SettingChange = .atReload,
        firewall: FirewallUse = .none, rival: String? = nil
    ) {
        self.init(
            key, path, kind.optional, flag: flag, help: help, flagHelp: flagHelp,
            shownDefault: shownDefault, example: example, change: change, firewall: firewall, rival: rival)
    }

    /// The same setting, of an owner that contains this one.
    func within<Outer>(_ part: any WritableKeyPath<Outer, Owner> & Sendable) -> Setting<Outer> {
        Setting<Outer>(self, part)
    }

    private init<Inner>(_ inner: Setting<Inner>, _ part: any WritableKeyPath<Owner, Inner> & Sendable) {
        (key, flag, placeholder, help, choices) = (inner.key, inner.flag, inner.placeholder, inner.help, inner.choices)
        (flagHelp, values) = (inner.flagHelp, inner.values)
        (usual, example, required, rival) = (inner.usual, inner.example, inner.required, inner.rival)
        (change, firewall) = (inner.change, inner.firewall)
        take = { value, folder, owner throws(Refusal) in try inner.take(value, folder, &owner[keyPath: part]) }
        takeFlag = { texts, owner throws(Refusal) in try inner.takeFlag(texts, &owner[keyPath: part]) }
        write = { inner.write($0[keyPath: part]) }
        copy = { inner.copy($0[keyPath: part], &$1[keyPath: part]) }
        compare = { inner.compare($0[keyPath: part], $1[keyPath: part]) }
    }

    // MARK: Use

    /// Reads the setting from a table of the file, and records what is wrong.
    func read(from table: TableReader, into owner: inout Owner) {
        guard let key else { return }
        if let required { table.require(key, required) }
        table.read(key) { value throws(Refusal) in
            if let rival, table.contains(rival) { throw Refusal("cannot go together with '\(rival)'") }
            try take(value, table.folder, &owner)
        }
    }

    /// Takes the values of the setting's flag.
    ///
    /// - Parameters:
    ///   - texts: The values, in the order in which they were given; ignored if the flag has none.
    ///   - owner: Where the setting is kept.
    /// - Throws: `Refusal`.
    package func take(flag texts: [String], into owner: inout Owner) throws(Refusal) { try takeFlag(texts, &owner) }

    /// Returns the value as the file has it; nil if it is left out.
    func literal(of owner: Owner) -> TOMLLiteral? { write(owner) }

    /// Returns the line of the file; nil if it is left out.
    func line(of owner: Owner) -> String? {
        guard let key, let literal = literal(of: owner) else { return nil }
        return "\(key) = \(literal.text)"
    }

    /// Copies the setting.
    func copy(from one: Owner, to other: inout Owner) { copy(one, &other) }

    /// Returns whether two owners have the same value.
    func isEqual(_ one: Owner, _ other: Owner) -> Bool { compare(one, other) }
}
