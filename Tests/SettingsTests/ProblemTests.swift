// SPDX-License-Identifier: GPL-2.0-or-later
import Linux
import Settings
import SystemPackage
import Testing

/// What is wrong in the text of a file, as `LINE:COLUMN: text`.
private func problems<Settings: DaemonSettings>(_ text: String, _: Settings.Type) -> [String] {
    do throws(SettingsError) {
        _ = try SettingsFile<Settings>.parse(Array(text.utf8), "/etc/x/f.toml", now: 1_800_000_000)
        return []
    } catch {
        guard case .problems = error else { return ["another error: \(error)"] }
        return error.description.split(separator: "\n").map { String($0.trimmingPrefix("/etc/x/f.toml:")) }
    }
}

/// A wrong file and how the one message about it begins and what else it says.
struct WrongFile: CustomTestStringConvertible, Sendable {
    let text: String
    let beginning: String
    let parts: [String]

    init(_ text: String, _ beginning: String, _ parts: String...) {
        self.text = text
        self.beginning = beginning
        self.parts = parts
    }

    var testDescription: String { text }
}

@Suite("What is wrong in a file, and where") struct ProblemTests {
    private static let guest = "[[guest]]\nname = \"a\"\nkey_file = \"a.dat\"\n"
    private static let target = "[[target]]\nhost = \"a.example\"\nkey_file = \"a.dat\"\n"

    private func check(_ wrong: WrongFile, _ problems: [String]) throws {
        try #require(problems.count == 1, "\(problems)")
        #expect(problems[0].hasPrefix(wrong.beginning), "\(problems)")
        for part in wrong.parts { #expect(problems[0].contains(part), "\(problems)") }
    }

    @Test(
        "Syntax",
        arguments: [
            WrongFile("a = ", "1:5: ", "no TOML", "end-of-file"), WrongFile("\n\nmark = 0x", "3:", "no TOML"),
            WrongFile("no_time = true\n[[guest]\n", "2:9: ", "expected ']'"),
            WrongFile("mark = 1\n\nmark = 2\n", "3:", "cannot redefine", "'mark'", "only once"),
            WrongFile("\n[/x]", "2:2: ", "saw '/'"), WrongFile("[[[guest]]]", "1:3: ", "saw '['"),
            WrongFile("[[guest]]\nname = \"a\"\nname = \"b\"\n", "3:", "cannot redefine", "only once"),
            WrongFile("log_level = info", "1:", "no TOML"), WrongFile("# é\nx = \"\u{1}\"", "2:", "no TOML"),
            WrongFile("on_admit = \"\"\"\nnever closed\n", "", "no TOML"),
        ])
    func syntax(_ wrong: WrongFile) throws {
        try check(wrong, problems(wrong.text, ServerSettings.self))
    }

    @Test func bytesThatAreNoText() {
        for bytes: [UInt8] in [[0xff], Array("mark = 1".utf8) + [0], Array("a = \"".utf8) + [0xc3, 0x28, 0x22]] {
            #expect(throws: SettingsError.self) { try SettingsFile<ServerSettings>.parse(bytes, "f") }
        }
    }

    @Test(
        "Unknown keys, with the one that was probably meant",
        arguments: [
            WrongFile("queue_nun = 1", "1:1: unknown key 'queue_nun'; did you mean 'queue_num'?"),
            WrongFile("\n  target-ports = [22]", "2:3: ", "did you mean 'target_ports'?"),
            WrongFile("# x\nMARK = 1", "2:1: ", "did you mean 'mark'?"),
            WrongFile("lockout_second = 1", "1:1: ", "'lockout_seconds'?"),
            WrongFile("colour = \"red\"", "1:1: unknown key 'colour'"),
            WrongFile("isn_mask = \"full\"", "1:1: unknown key 'isn_mask'"),
            WrongFile("[section]\nmark = 1", "1:2: unknown key 'section'"),
            WrongFile("[[gust]]\nname = \"a\"", "1:3: ", "did you mean 'guest'?"),
            WrongFile(guest + "rooming = true", "4:1: unknown key 'rooming' in [[guest]]; did you mean 'roaming'?"),
            WrongFile(guest + "host = \"a\"", "4:1: unknown key 'host' in [[guest]]"),
            // What follows a table belongs to it.
            WrongFile(guest + "\nmark = 1\n", "5:1: unknown key 'mark' in [[guest]]"),
            WrongFile("on_admit = \"\"\"\nmark = 3\n\"\"\"\nmurk = 1\n", "4:1: ", "'mark'?"),
            WrongFile("target_ports = [\n  22, # mark = 3\n  443,\n]\nmurk = 1\n", "5:1: ", "'mark'?"),
        ])
    func unknownKeys(_ wrong: WrongFile) throws {
        try check(wrong, problems(wrong.text, ServerSettings.self))
    }

    @Test(
        "Values of the server",
        arguments: [
            WrongFile("key_file = 7", "1:12: key_file: the number 7 is not a path"),
            WrongFile("key_file = \"\"", "1:12: key_file: the path is empty"),
            WrongFile("key_file = \"a\\u0000b\"", "1:12: key_file: ", "control characters"),
            WrongFile("target_ports = []", "1:16: target_ports: there is no port"),
            WrongFile("target_ports = [0]", "1:17: target_ports: the number 0", "1 to 65535"),
            WrongFile("target_ports = [22, 65536]", "1:21: target_ports: ", "65536"),
            WrongFile("target_ports = [\n  22,\n  -1,\n]", "3:3: target_ports: "),
            WrongFile("target_ports = [22, 22]", "1:21: target_ports: port 22 is there twice"),
            WrongFile("target_ports = [22.5]", "1:17: target_ports: a number with a fraction"),
            WrongFile("queue_num = 65536", "1:13: queue_num: "), WrongFile("queue_num = -1", "1:13: queue_num: "),
            WrongFile("queue_num = \"5:1\"", "1:13: queue_num: ", "100:103"),
            WrongFile("queue_num = \"0:64\"", "1:13: queue_num: ", "64 queues"),
            WrongFile("lockout_seconds = 0", "1:19: lockout_seconds: the number 0", "1 to 86400"),
            WrongFile("lockout_seconds = 86401", "1:19: ", "86400"),
            WrongFile("lockout_seconds = 9223372036854775807", "1:19: "),
            WrongFile("no_time = 1", "1:11: no_time: the number 1 is not true or false"),
            WrongFile("no_time = \"yes\"", "1:11: no_time: the string \"yes\""),
            WrongFile("mark = 0", "1:8: mark: ", "one bit set"), WrongFile("mark = 0x3000", "1:8: mark: "),
            WrongFile("mark = 0x100000000", "1:8: mark: "), WrongFile("mark = \"0x1000\"", "1:8: mark: the string"),
            WrongFile("on_failure = \"rest\"", "1:14: on_failure: ", "\"drop\", \"reset\"", "did you mean \"reset\"?"),
            WrongFile("iptables = \"nftables\"", "1:12: iptables: ", "\"auto\", \"nft\", \"legacy\""),
            WrongFile("guest_search = \"some\"", "1:16: guest_search: ", "hint"),
            WrongFile("lockout_after_wrong_codes = -1", "1:29: "), WrongFile("wrong_code_seconds = 0", "1:22: "),
            WrongFile("kernel_filter = true", "1:17: kernel_filter: true is not one of"),
            WrongFile("pin_folder = \"/a b\"", "1:1: pin_folder: ", "spaces"),
            WrongFile("control_socket = \"/\(String(repeating: "x", count: 107))\"", "1:1: control_socket: ", "107"),
            WrongFile("count_bytes = 2027-01-01", "1:15: count_bytes: a date"),
            WrongFile("log_level = \"loud\"", "1:13: log_level: "), WrongFile("log_format = {}", "1:14: ", "a table"),
            WrongFile("log_target = [\"stderr\"]", "1:14: log_target: an array"),
            WrongFile("hook_seconds = 0", "1:16: "), WrongFile("hook_limit = 1025", "1:14: "),
            WrongFile("on_admit = \"\"", "1:12: on_admit: the command is empty"),
            WrongFile("on_admit = []", "1:12: on_admit: ", "absolute path"),
            WrongFile("on_close = [\"x\"]", "1:12: on_close: ", "absolute path"),
            WrongFile("on_close = [\"/x\", 1]", "1:19: on_close: the number 1"),
            WrongFile("on_lockout = 1", "1:14: on_lockout: "), WrongFile("guest = 1", "1:9: guest: ", "[[guest]]"),
            WrongFile("guest = [1]", "1:10: guest: ", "[[guest]]"),
        ])
    func serverValues(_ wrong: WrongFile) throws {
        try check(wrong, problems(wrong.text, ServerSettings.self))
    }

    @Test(
        "Guests",
        arguments: [
            WrongFile("\n[[guest]]\nkey_file = \"a\"", "2:1: [[guest]]: 'name' is missing"),
            WrongFile("\n[[guest]]\nname = \"a\"", "2:1: [[guest]]: 'key_file' is missing", "keygen"),
            WrongFile("[[guest]]\nname = \"\"\nkey_file = \"a\"", "2:8: guest.name: the name is empty"),
            WrongFile("[[guest]]\nname = \"a b\"\nkey_file = \"a\"", "2:8: guest.name: ", "spaces or control"),
            WrongFile("[[guest]]\nname = \"a\\n\"\nkey_file = \"a\"", "2:8: guest.name: ", "spaces or control"),
            WrongFile("[[guest]]\nname = \"a\\u202e\"\nkey_file = \"a\"", "2:8: guest.name: ", "spaces or control"),
            WrongFile(
                "[[guest]]\nname = \"\(String(repeating: "x", count: 65))\"\nkey_file = \"a\"", "2:8: ", "64 bytes"),
            WrongFile(
                guest + "[[guest]]\nname = \"a\"\nkey_file = \"b\"", "5:1: guest.name: another guest is named \"a\""),
            WrongFile(
                guest + "[[guest]]\nname = \"b\"\nkey_file = \"a.dat\"",
                "6:1: guest.key_file: guest \"a\" has the same one"),
            WrongFile("key_file = \"k\"\n" + guest, "1:1: key_file: cannot go together with [[guest]]"),
            WrongFile(guest + "ports = [22, 443]", "4:1: guest.ports: 443: not among target_ports"),
            WrongFile(guest + "ports = [\"ssh\"]", "4:10: guest.ports: the string \"ssh\""),
            WrongFile("exempt = [\"own\"]", "1:11: exempt: ", "an address, a prefix"),
            WrongFile("exempt = [\"::1\", \"all\"]", "1:18: exempt: ", "an address, a prefix"),
            WrongFile("protect = []", "1:11: protect: ", "nothing would be protected"),
            WrongFile("protect = [\"own\", \"self\"]", "1:19: protect: ", "\"own\", an address"),
            WrongFile("protect = \"interface:a/b\"", "1:11: protect: ", "interface:"),
            WrongFile("protect = [\"10.0.0.1/8\", \"10.0.0.0/8\"]", "1:26: protect: ", "twice"),
            WrongFile(guest + "networks = []", "4:12: guest.networks: ", "enabled = false"),
            WrongFile(guest + "networks = [\"10.0.0.0/8\", \"10.0.0.0/33\"]", "4:27: guest.networks: "),
            WrongFile(guest + "networks = [\"example.org\"]", "4:13: guest.networks: ", "prefix"),
            WrongFile(guest + "expires = \"2027-01-01\"", "4:11: guest.expires: ", "without quotes"),
            WrongFile(guest + "expires = 12:00:00", "4:11: guest.expires: a time of day"),
            WrongFile(guest + "enabled = \"no\"", "4:11: guest.enabled: "),
            WrongFile(guest + "on_admit = true", "4:12: guest.on_admit: true"),
        ])
    func guests(_ wrong: WrongFile) throws {
        try check(wrong, problems(wrong.text, ServerSettings.self))
    }

    @Test(
        "The client",
        arguments: [
            WrongFile("pin_folder = \"/x\"", "1:1: unknown key 'pin_folder'"),
            WrongFile("queue_num = \"1:2\"", "1:13: queue_num: "),
            WrongFile("nat_ip = \"atuo\"", "1:10: nat_ip: the string \"atuo\""),
            WrongFile("nat_ip = [\"1.2.3.4\", \"auto\"]", "1:22: nat_ip: ", "\"auto\""),
            WrongFile("nat_ip = [\"1.2.3.4\", \"1.2.3.5\"]", "1:22: nat_ip: two addresses for IPv4"),
            WrongFile("isn_mask = \"half\"", "1:12: isn_mask: "), WrongFile("servers = [\"a\"]", "1:12: servers: "),
            WrongFile("[[target]]\nkey_file = \"a\"", "1:1: [[target]]: 'host' is missing"),
            WrongFile("[[target]]\nhost = \"a\"", "1:1: [[target]]: 'key_file' is missing"),
            WrongFile("[[target]]\nhost = \"a b\"\nkey_file = \"a\"", "2:8: target.host: "),
            WrongFile("[[target]]\nhost = \"a/b\"\nkey_file = \"a\"", "2:8: target.host: "),
            WrongFile("[[target]]\nhost = \"..\"\nkey_file = \"a\"", "2:8: target.host: "),
            WrongFile("[[target]]\nhost = \"1.2.3.256\"\nkey_file = \"a\"", "2:8: target.host: "),
            WrongFile(target + "ports = []", "4:9: target.ports: there is no port"),
            WrongFile(target + "ports = [22]\nport = 23", "5:8: target.port: cannot go together with 'ports'"),
            WrongFile(target + target, "5:1: target.host: ", "\"a.example\" with port 22 already"),
            WrongFile(
                target + "[[target]]\nhost = \"A.EXAMPLE.\"\nkey_file = \"b\"\nports = [443, 22]", "5:1: target.host: "),
            WrongFile(target + "require_prof = false", "4:1: ", "did you mean 'require_proof'?"),
        ])
    func client(_ wrong: WrongFile) throws {
        try check(wrong, problems(wrong.text, ClientSettings.self))
    }

    @Test("All are told, in the order of the file") func several() {
        let text = "murk = 1\n[[guest]]\nname = \"\"\nports = [0]\n\n[[guest]]\nkey_file = \"k\"\nhost = 1\n"
        let lines = problems(text, ServerSettings.self).map { $0.prefix { $0 != ":" } }
        #expect(lines == ["1", "2", "3", "4", "6", "8"])
    }

    @Test("Twenty at most, and how many more there are") func limit() {
        let text = (0..<30).map { "unknown_\($0) = 1\n" }.joined()
        let found = problems(text, ServerSettings.self)
        #expect(found.count == 21)
        #expect(found.last == "and 10 more")
        #expect(found[19].hasPrefix("20:1: "))
    }

    @Test("A wrong target_ports is told, not what follows from it") func noConsequences() {
        #expect(problems("target_ports = [0]\n" + Self.guest + "ports = [443]", ServerSettings.self).count == 1)
    }

    @Test("What acts on a terminal is not repeated") func terminal() {
        let text = problems("\"a\\u001b[2J\" = 1", ServerSettings.self).joined()
        #expect(text.contains("a?[2J"))
        #expect(!text.unicodeScalars.contains("\u{1b}"))
    }

    @Test("A guest who has expired is worth a warning") func expired() throws {
        let text = Self.guest + "expires = 2027-01-01T00:00:00Z\n"
        let before = try SettingsFile<ServerSettings>.parse(Array(text.utf8), "f", now: 1_798_761_599)
        #expect(before.warnings == [])
        let after = try SettingsFile<ServerSettings>.parse(Array(text.utf8), "f", now: 1_798_761_600)
        #expect(
            after.warnings.map { "\($0.report(in: "f"))" } == [
                "f:4:1: guest.expires: \"a\" has expired, and does not get in"
            ])
    }
}
