// SPDX-License-Identifier: GPL-2.0-or-later
import Settings
import SystemPackage
import TestSupport
import Testing

@Suite("The head of a bundle") struct BundleHeadTests {
    private static let fingerprint = "4863-6dae-c3e5-ef0e-605e-7f7f-6c80-fce9"
    private static let right = [
        "version": "1", "host": "\"server.example.org\"", "guest": "\"alice\"", "ports": "[22, 443]",
        "roaming": "true", "fingerprint": "\"\(fingerprint)\"",
    ]

    private func read(_ values: [String: String]) throws(SettingsError) -> BundleHead {
        let text = values.map { "\($0) = \($1)\n" }.sorted().joined()
        return try BundleHead(Array(text.utf8), "b")
    }

    @Test(
        "What is written can be read",
        arguments: ["server.example.org", "198.51.100.7", "2001:db8::7"])
    func roundTrip(_ host: String) throws {
        let head = BundleHead(
            host: try #require(TargetHost(host)), guest: "alice", ports: [22, 443], roaming: true,
            fingerprint: Self.fingerprint)
        #expect(try BundleHead(Array(head.text.utf8), "b") == head)
        #expect(head.text.last != "\n")
    }

    @Test func right() throws {
        let head = try read(Self.right)
        #expect(head.host == .name("server.example.org"))
        #expect(head.guest == "alice")
        #expect(head.ports == [22, 443])
        #expect(head.roaming)
        #expect(head.fingerprint == Self.fingerprint)
    }

    @Test("Nothing may be missing", arguments: ["version", "host", "guest", "ports", "roaming", "fingerprint"])
    func missing(_ key: String) {
        var values = Self.right
        values[key] = nil
        #expect {
            try read(values)
        } throws: { "\($0)".contains("'\(key)' is missing") }
    }

    @Test(
        "What somebody could have put in",
        arguments: [
            ("version", "2"), ("version", "\"1\""), ("host", "\"../../etc/passwd\""), ("host", "\"/etc\""),
            ("host", "\"..\""), ("host", "\".\""), ("host", "\"\""), ("host", "\"a/b\""), ("host", "\"a\\nb\""),
            ("host", "\"a\\u0000b\""), ("host", "\"10.0.0.0/8\""), ("host", "\"-rf\""), ("host", "\"a b\""),
            ("host", "\"\(String(repeating: "a.", count: 200))a\""), ("host", "1"), ("guest", "\"a b\""),
            ("guest", "\"\""), ("guest", "\"\\u001b[2J\""), ("ports", "[]"), ("ports", "[0]"), ("ports", "[22, 22]"),
            ("ports", "[\(Array(1...65).map(String.init).joined(separator: ", "))]"), ("ports", "\"22\""),
            ("roaming", "1"), ("fingerprint", "\"\""), ("fingerprint", "7"), ("key_file", "\"/etc/shadow\""),
            ("on_admit", "\"reboot\""),
        ])
    func hostile(_ key: String, _ value: String) {
        var values = Self.right
        values[key] = value
        #expect {
            try read(values)
        } throws: { error in
            let text = "\(error)"
            return text.contains(key) && text.unicodeScalars.allSatisfy { $0.value >= 0x20 || $0 == "\n" }
        }
    }

    @Test("Tables as deep as the head is long") func depth() {
        for text in [
            String(repeating: "a.", count: 2046) + "a=1", "a=" + String(repeating: "[", count: 4000),
            "a=" + String(repeating: "{a=", count: 1360),
        ] {
            #expect(throws: SettingsError.self) { try BundleHead(Array(text.utf8), "b") }
        }
    }
}

@Suite("Adding to a file") struct SettingsEditTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private static let guest = "[[guest]]\nname = \"b\"\nkey_file = \"b\"\n"

    @Test(
        "What is there stays",
        arguments: [
            "", "# x", "mark = 1\n", "mark = 1 # no end", "\r\nmark = 1\r\n", "[[guest]]\nname='a'\nkey_file='a'",
        ])
    func append(_ text: String) throws {
        let path = try folder.write("f", Array(text.utf8), mode: 0o640)
        var edit = try SettingsEdit<ServerSettings>(path, beginning: "new")
        edit.append(Self.guest)
        #expect(try edit.check().guests.last?.name == "b")
        #expect(edit.text.starts(with: Array(text.utf8)))
        #expect(edit.attributes?.mode == 0o640)
        edit.prepend("no_time = true\n")
        #expect(try edit.check().noTime)
        #expect(try folder.read("f") == Array(text.utf8))
    }

    @Test func newFile() throws {
        var edit = try SettingsEdit<ServerSettings>(folder.path.appending("f"), beginning: "new")
        #expect(edit.attributes == nil)
        edit.append(Self.guest)
        #expect(try edit.check().guests.map(\.name) == ["b"])
        #expect(edit.text.starts(with: Array("# new\n".utf8)))
    }

    @Test(
        "What the addition does not go together with",
        arguments: [
            "key_file = \"k\"\n", "guest = []\n", "[[guest]]\nname = \"b\"\nkey_file = \"c\"\n",
            "on_admit = \"\"\"\nopen",
        ])
    func conflicts(_ text: String) throws {
        let path = try folder.write("f", Array(text.utf8))
        #expect(throws: SettingsError.self) {
            var edit = try SettingsEdit<ServerSettings>(path, beginning: "new")
            edit.append(Self.guest)
            _ = try edit.check()
        }
    }
}
