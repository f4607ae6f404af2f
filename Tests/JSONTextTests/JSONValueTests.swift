// SPDX-License-Identifier: GPL-2.0-or-later
import JSONText
import Testing

@Suite struct JSONValueTests {
    // Made anew each time: LeakSanitizer does not see what a static value of this kind refers to, and calls it lost.
    static var value: JSONValue {
        .object([
            "b": .array([.integer(-1), .unsigned(.max), .boolean(true)]), "a \"": .string("x\ny"), "none": .null,
            "empty": .array([]), "inner": .object(["c": .object([:])]),
        ])
    }

    @Test("On one line, in the order given") func oneLine() {
        #expect(
            Self.value.text
                == #"{"b":[-1,18446744073709551615,true],"a \"":"x\ny","none":null,"empty":[],"inner":{"c":{}}}"#)
    }

    @Test("With a line for each member") func indented() {
        #expect(
            Self.value.indentedText == """
                {
                  "b": [
                    -1,
                    18446744073709551615,
                    true
                  ],
                  "a \\"": "x\\ny",
                  "none": null,
                  "empty": [],
                  "inner": {
                    "c": {}
                  }
                }
                """)
    }

    @Test("What is not there is null") func optional() {
        #expect(JSONValue.string(nil) == .null && JSONValue.integer(nil) == .null)
        #expect(JSONValue.unsigned(nil) == .null && JSONValue.boolean(nil) == .null)
        #expect(JSONValue.string(Optional("x")) == .string("x") && JSONValue.unsigned(Optional(7)) == .unsigned(7))
    }

    @Test("What is written is read again") func parsing() {
        #expect(JSONValue(parsing: Self.value.text) == Self.value)
        #expect(JSONValue(parsing: Self.value.indentedText) == Self.value)
        #expect(JSONValue(parsing: #" "\/\b\f\n\r\t\u00e9\ud83d\ude00é" "#) == .string("/\u{8}\u{c}\n\r\té😀é"))
        let object = JSONValue(parsing: #"{"a": [1, "b"], "a": 2}"#)
        #expect(object?["a"]?.elements?.first?.unsignedValue == 1 && object?["a"]?.elements?.last?.stringValue == "b")
        #expect(object?["b"] == nil && object?.stringValue == nil && object?["a"]?["a"] == nil)
        #expect(JSONValue.integer(-1).unsignedValue == nil && JSONValue.null.elements == nil)
    }

    @Test(
        "What is not JSON, or more than is needed",
        arguments: [
            "", " ", "nul", "[", "[1", "[1,", "[1,]", "[,1]", "{", "{\"a\"", "{\"a\":", "{\"a\":1,}", "{a:1}", "{1:1}",
            "\"",
            "\"a", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
            "\"a\nb\"", "01",
            "-", "-0", "--1", "1.5", "1e3", "18446744073709551616", "1 2", "[] ]", "tru", "é", "'a'",
            String(repeating: "[", count: 40) + String(repeating: "]", count: 40),
        ])
    func malformed(_ text: String) {
        #expect(JSONValue(parsing: text) == nil)
    }
}
