// SPDX-License-Identifier: GPL-2.0-or-later
import Foundation
import JSONText
import Testing

@Suite struct JSONTests {
    @Test(
        "What must be escaped is",
        arguments: [
            ("", #""""#), ("plain", #""plain""#), ("\"", #""\"""#), ("\\", #""\\""#), ("a\nb", #""a\nb""#),
            ("\r\n", #""\r\n""#), ("\t", #""\t""#), ("\u{0}", #""\u0000""#), ("\u{1}", #""\u0001""#),
            ("\u{1f}", #""\u001f""#), ("\u{1b}[31m", #""\u001b[31m""#), ("/", #""/""#), ("é€😀", #""é€😀""#),
            ("\u{7f}", #""\u007f""#), ("\u{9b}2J", #""\u009b2J""#), ("\u{85}", #""\u0085""#), ("\u{a0}", "\"\u{a0}\""),
            ("\u{2028}", #""\u2028""#), ("\u{202e}", #""\u202e""#), ("\u{61c}", #""\u061c""#),
            ("e\u{301}", "\"e\u{301}\""),
        ])
    func escaping(_ text: String, _ expected: String) {
        #expect(JSON.string(text).unicodeScalars.elementsEqual(expected.unicodeScalars))
    }

    @Test("A JSON reader reads the same text again")
    func roundTrip() throws {
        let all = String(String.UnicodeScalarView((0...0x2fff).compactMap { Unicode.Scalar($0) }))
        let data = Data(JSON.string(all).utf8)
        let read = try JSONDecoder().decode(String.self, from: data)
        #expect(read.unicodeScalars.elementsEqual(all.unicodeScalars))
    }
}
