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
}
