// SPDX-License-Identifier: GPL-2.0-or-later

/// What is measured, with one value or more (prometheus.io, "Metric types").
package struct MetricFamily: Equatable, Sendable {
    /// How the values change.
    package enum Kind: String, CaseIterable, Sendable {
        /// They only grow, and begin at 0 when the daemon starts.
        case counter
        /// They go up and down.
        case gauge
    }

    /// What tells a value from its siblings.
    package struct Label: Equatable, Sendable {
        /// What the value is of, as a letter or `_` and letters, digits and `_`.
        package let name: String
        /// Any text.
        package let value: String

        /// Joins both.
        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// A number as it is written; readers take it for a floating-point number of 64 bits.
    package enum Value: Equatable, Sendable {
        /// A count.
        case integer(UInt64)
        /// Any other number.
        case real(Double)
    }

    /// One value and what it belongs to.
    package struct Sample: Equatable, Sendable {
        /// In the order in which they are written; each name once.
        package let labels: [Label]
        /// The number.
        package let value: Value

        /// Joins both.
        package init(_ value: Value, _ labels: [Label] = []) {
            self.labels = labels
            self.value = value
        }
    }

    /// Its name, as a letter, `_` or `:` and letters, digits, `_` and `:`; that of a counter ends in `_total`.
    package let name: String
    /// What it means, for people.
    package let help: String
    /// How its values change.
    package let kind: Kind
    /// Its values, no two with the same labels.
    package let samples: [Sample]

    /// Describes what is measured, and its values.
    package init(_ name: String, _ help: String, _ kind: Kind, _ samples: [Sample]) {
        self.name = name
        self.help = help
        self.kind = kind
        self.samples = samples
    }

    /// Describes what has a single value.
    package init(_ name: String, _ help: String, _ kind: Kind, _ value: Value) {
        self.init(name, help, kind, [Sample(value)])
    }
}
