// SPDX-License-Identifier: GPL-2.0-or-later
internal import ArgumentParser
package import Settings

/// The flags for a daemon's settings, one for each.
///
/// ArgumentParser finds the flags of a type by its mirror, and passes what was given by decoding. Both are made here
/// from the descriptions of the settings, so that no setting has to be declared a second time.
package struct SettingFlags<Settings: DaemonSettings>: ParsableArguments, CustomReflectable {
    /// The values that were given, by the names of the flags.
    private var given: [String: [String]] = [:]

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Creates flags as if none were given.
    package init() {}

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        for flag in Settings.settings.map(\.flag) {
            let key = Key(stringValue: flag.name)
            let values =
                if flag.isSwitch {
                    try container.decode(Flag<Bool>.self, forKey: key).wrappedValue ? [""] : []
                } else if flag.isList {
                    try container.decode(Option<[String]>.self, forKey: key).wrappedValue
                } else {
                    [try container.decode(Option<String?>.self, forKey: key).wrappedValue].compactMap(\.self)
                }
            if !values.isEmpty { given[flag.name] = values }
        }
    }

    package var customMirror: Mirror {
        Mirror(self, children: Settings.settings.map { (label: $0.flag.name, value: $0.declaration as Any) })
    }

    package func validate() throws {
        var scratch = Settings()
        for setting in Settings.settings { try take(setting, into: &scratch) }
    }

    /// The defaults, with the flags that have no key in the file.
    var withoutKeys: Settings {
        var settings = Settings()
        // validate() has refused what cannot be taken.
        for setting in Settings.settings where setting.key == nil { _ = try? take(setting, into: &settings) }
        return settings
    }

    /// Takes the value of a setting's flag, if that was given.
    ///
    /// - Returns: Whether it was given.
    /// - Throws: `ValidationError`.
    @discardableResult
    func take(_ setting: Setting<Settings>, into settings: inout Settings) throws(ValidationError) -> Bool {
        guard let values = given[setting.flag.name] else { return false }
        try validating("--\(setting.flag.name): ") { () throws(Refusal) in
            try setting.take(flag: values, into: &settings)
        }
        return true
    }
}

extension Setting where Owner: DaemonSettings {
    /// The declaration of the flag for ArgumentParser.
    fileprivate var declaration: Any {
        let twin = flag.name.split(separator: "-").joined(separator: "_")
        let names: NameSpecification =
            flag.name == twin ? [.customLong(twin)] : [.customLong(flag.name), .customLong(twin)]
        if flag.isSwitch { return Flag(wrappedValue: false, name: names, help: ArgumentHelp(flagHelp)) as Flag<Bool> }
        let again = flag.isList ? " Repeat for more." : ""
        let words = usual?.words.joined(separator: ", ")
        let usual = words.map { " (default: \($0.isEmpty ? "none" : $0))" } ?? ""
        let values = values.map { " (values: \($0))" } ?? ""
        let help = ArgumentHelp("\(flagHelp)\(again)\(usual)\(values)", valueName: placeholder)
        let completion: CompletionKind? =
            if !choices.isEmpty { .list(choices) } else if placeholder == "path" { .file() } else { nil }
        let check: @Sendable (String) throws -> String = { text in
            // A value of a list is checked by itself first, so that the message names it.
            var scratch = Owner.defaults
            try validating { () throws(Refusal) in try take(flag: [text], into: &scratch) }
            return text
        }
        if flag.isList {
            return Option(
                wrappedValue: [], name: names, parsing: .singleValue, help: help, completion: completion,
                transform: check)
        }
        return Option(name: names, help: help, completion: completion, transform: check) as Option<String?>
    }
}
