// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// An error that ends a program, or what a program was asked for.
public struct FatalError: ReportableError, Equatable {
    /// What is wrong.
    package let finding: String
    /// Where it is: a file with its line, a flag, a socket or a queue; nil if the finding says so.
    package private(set) var place: String?
    /// What to do; nil if that is not known.
    package let cure: String?
    /// The exit status.
    package private(set) var status: ExitStatus
    /// More problems of the same kind, none of which has others.
    private var others: [FatalError] = []

    package init(_ finding: String, at place: String? = nil, cure: String? = nil, status: ExitStatus) {
        self.finding = finding
        self.place = place
        self.cure = cure
        self.status = status
    }

    /// Creates the error of a system call on a file.
    package init(_ call: String, _ errno: Errno, at place: String) {
        let status: ExitStatus =
            switch (call, errno) {
            case (_, .permissionDenied), (_, .notPermitted): .noPermission
            case ("open", .noSuchFileOrDirectory): .noInput
            case ("create", _), ("mkdir", _): .cannotCreate
            default: .inputOutput
            }
        self.init("\(call): \(errno)", at: place, status: status)
    }

    /// Creates an error from several problems; there must be one.
    package init(_ problems: [FatalError], status: ExitStatus) {
        let problems = problems.flatMap(\.problems).map { $0.exiting(with: status) }
        self = problems[0]
        others = Array(problems.dropFirst())
    }

    /// This error.
    public var fatal: FatalError { self }

    /// Each problem by itself, in order.
    package var problems: [FatalError] {
        var first = self
        first.others = []
        return [first] + others
    }

    /// Returns the error with another exit status.
    package func exiting(with status: ExitStatus) -> FatalError {
        var result = self
        result.status = status
        return result
    }

    /// Returns the error with a place.
    package func at(_ place: String) -> FatalError {
        var result = self
        result.place = place
        return result
    }
}
