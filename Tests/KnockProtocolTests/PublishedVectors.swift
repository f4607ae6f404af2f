// SPDX-License-Identifier: GPL-2.0-or-later
import Foundation
import KnockProtocol
import TestSupport
import Testing
import Wire

/// docs/vectors.json, which another implementation wrote.
struct PublishedVectors: Decodable, Sendable {
    let master: String
    let k1: String
    let k2: String
    let k3: String
    let k4: String
    let k5: String
    let fingerprint: String
    let hints: [Hint]
    let cases: [Case]

    /// The hint of a slot; numbers are hexadecimal.
    struct Hint: Decodable, Sendable, CustomTestStringConvertible {
        let T: String
        let hint: String
        let identification: String
        let flowLabel: String

        var testDescription: String { "slot \(T)" }
    }

    /// One handshake; numbers are hexadecimal.
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        let name: String
        let family: UInt8
        let mode: String
        let seconds: Int64?
        let A: String
        let C: String
        let S: String
        let T: String
        let M: String
        let codeFull: String
        let codeWindowed: String
        let N: String
        let P: String
        let E: String

        var testDescription: String { name }

        var handshake: Handshake {
            get throws {
                let address = [UInt8](hex: A)
                return Handshake(
                    clientAddress: IPAddress(high: address.span.uint64(at: 0), low: address.span.uint64(at: 8)),
                    clientISN: try number(C))
            }
        }

        var slot: TimeSlot { seconds.map { TimeSlot(unixSeconds: $0) } ?? .timeless }

        var maskMode: MaskMode {
            get throws { try #require(MaskMode(rawValue: [UInt8](hex: M)[0])) }
        }

        var ipFamily: IPFamily {
            get throws { try #require(IPFamily(rawValue: family)) }
        }

        func number(_ text: String) throws -> UInt32 { try #require(UInt32(text, radix: 16)) }
    }

    static func read() throws -> PublishedVectors {
        try JSONDecoder().decode(Self.self, from: Data(Repository.read("docs/vectors.json")))
    }

    /// The cases, as arguments of tests; none if the file cannot be read, which `PublishedVectorTests.fileIsComplete`
    /// says.
    static let allCases = (try? read().cases) ?? []

    /// The hints, as arguments of tests.
    static let allHints = (try? read().hints) ?? []
}
