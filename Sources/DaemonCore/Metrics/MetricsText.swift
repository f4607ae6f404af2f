// SPDX-License-Identifier: GPL-2.0-or-later

/// The text-based exposition format of Prometheus, version 0.0.4 (prometheus.io, "Exposition formats").
package enum MetricsText {
    /// Returns the families in the given order as text.
    ///
    /// Each family must occur only once.
    ///
    /// Characters that are not allowed in a name are replaced by `_`, so that one bad name does not make the whole text
    /// unreadable.
    package static func text(_ families: [MetricFamily]) -> String {
        families.map(text).joined()
    }

    private static func text(_ family: MetricFamily) -> String {
        let name = Self.name(family.name, allowsColons: true)
        var text = "# HELP \(name) \(escaped(family.help, quotes: false))\n# TYPE \(name) \(family.kind.rawValue)\n"
        for sample in family.samples {
            text += "\(name)\(labels(sample.labels)) \(number(sample.value))\n"
        }
        return text
    }

    private static func labels(_ labels: [MetricFamily.Label]) -> String {
        guard !labels.isEmpty else { return "" }
        let pairs = labels.map { "\(name($0.name, allowsColons: false))=\"\(escaped($0.value, quotes: true))\"" }
        return "{\(pairs.joined(separator: ","))}"
    }

    private static func number(_ value: MetricFamily.Value) -> String {
        switch value {
        case .integer(let value): "\(value)"
        case .real(.infinity): "+Inf"
        case .real(-.infinity): "-Inf"
        case .real(let value): value.isNaN ? "NaN" : "\(value)"
        }
    }

    private static func name(_ name: String, allowsColons: Bool) -> String {
        var result = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "a"..."z", "A"..."Z", "_": result.unicodeScalars.append(scalar)
            case "0"..."9" where !result.isEmpty: result.unicodeScalars.append(scalar)
            case ":" where allowsColons: result.unicodeScalars.append(scalar)
            default: result += "_"
            }
        }
        return result.isEmpty ? "_" : result
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
