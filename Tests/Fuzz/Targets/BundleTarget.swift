// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings
internal import SystemPackage
internal import TestSupport

@testable import Capture
@testable import KeyFiles
@testable import KnockProtocol

/// A bundle: the file, and its head.
///
/// An odd first byte puts a whole key behind the input as a bundle has it, which no fuzzer would find by itself.
enum BundleTarget {
    private static let path: FilePath = "f"
    /// The part behind the head, with a key.
    private static let tail: [UInt8] = {
        let digits = Array(repeating: "QUJD", count: KeyFile.length / 3).joined() + "QQ=="
        var text = "\nkey = \"\"\"\n"
        var rest = Substring(digits)
        while !rest.isEmpty {
            text += rest.prefix(76) + "\n"
            rest = rest.dropFirst(76)
        }
        return Array((text + "\"\"\"\n").utf8)
    }()

    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        let isWhole = input.first.map { $0 & 1 == 1 } ?? false
        let text = Array(input.dropFirst()) + (isWhole ? tail : [])
        try checkHead(Array(input.dropFirst().prefix(KeyBundle.maximumHead)))
        guard let bundle = try? KeyBundle.parse(text.span, path) else { return }
        try hold(bundle.head.count <= KeyBundle.maximumHead, "a head of \(bundle.head.count) bytes")
        try hold(text.starts(with: bundle.head), "the head is not that of the text")
        try hold(bundle.key.withBytes { $0.count } == KeyFile.length, "a key of another length")
        try checkHead(bundle.head)
    }

    private static func checkHead(_ text: [UInt8]) throws(Violation) {
        guard let head = try? BundleHead(text, path) else { return }
        try hold((1...BundleHead.maximumPorts).contains(head.ports.count), "\(head.ports.count) ports")
        try hold((try? BundleHead(Array(head.text.utf8), path)) == head, "written, it reads otherwise: \(head.text)")
        try hold(!head.guest.contains("/") && !head.guest.isEmpty, "a name that is a path: \(head.guest)")
    }
}
