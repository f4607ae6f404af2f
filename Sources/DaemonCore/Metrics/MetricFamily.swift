// SPDX-License-Identifier: GPL-2.0-or-later

/// A metric with one or more values (prometheus.io, "Metric types").
package struct MetricFamily: Equatable, Sendable {
    /// The way the values change.
    package enum Kind: String, CaseIterable, Sendable {
        /// The values only grow, and start from 0 with the daemon.
        case counter
        /// The values go up and down.
        case gauge
    }

    /// A label that distinguishes a value from the others of its family.
    package struct Label: Equatable, Sendable {
        /// The label's name: a letter or `_`, followed by letters, digits and `_`.
        package let name: String
        /// The label's value, which can be any text.
        package let value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// A number as it is written.
    ///
    /// Readers parse it as a 64-bit floating-point number.
    package enum Value: Equatable, Sendable {
        /// A count.
        case integer(UInt64)
        /// Any other number.
        case real(Double)
    }

    /// A value with its labels.
    package struct Sample: Equatable, Sendable {
        /// The labels, in the order in which they are written.
        ///
        /// Each name occurs once.
        package let labels: [Label]
        /// The value.
        package let value: Value

        package init(_ value: Value, _ labels: [Label] = []) {
            self.labels = labels
            self.value = value
        }
    }

    /// The name: a letter, `_` or `:`, followed by letters, digits, `_` and `:`.
    ///
    /// That of a counter ends in `_total`.
    package let name: String
    /// The help text, for people.
    package let help: String
    /// The way the values change.
    package let kind: Kind
    /// The values, no two of which have the same labels.
    package let samples: [Sample]

    package init(_ name: String, _ help: String, _ kind: Kind, _ samples: [Sample]) {
        self.name = name
        self.help = help
        self.kind = kind
        self.samples = samples
    }

    /// Creates a metric with a single value.
    package init(_ name: String, _ help: String, _ kind: Kind, _ value: Value) {
        self.init(name, help, kind, [Sample(value)])
    }
}
