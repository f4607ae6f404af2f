// SPDX-License-Identifier: GPL-2.0-or-later
import Foundation
import Logging
import SystemPackage
import TestSupport
import Testing

@testable import DaemonCore

@Suite struct MetricsTextTests {
    typealias Label = MetricFamily.Label
    typealias Sample = MetricFamily.Sample

    private static let families = [
        MetricFamily("tcpknock_ready", "Whether.", .gauge, .integer(1)),
        MetricFamily(
            "tcpknock_packets_total", "Packets\nby \"reason\", \\ and all.", .counter,
            [
                Sample(.integer(.max), [Label("reason", "a"), Label("guest", "x\"y\\z\nend")]),
                Sample(.integer(0), [Label("reason", "é😀 }{,="), Label("guest", "")]),
            ]),
        MetricFamily("tcpknock_none_total", "Without samples.", .counter, []),
        MetricFamily(
            "tcpknock_numbers", "", .gauge,
            ([0.5, -1e300, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, 1e16] as [Double]).enumerated().map {
                index, value in
                Sample(.real(value), [Label("index", "\(index)")])
            }),
    ]

    @Test func text() {
        #expect(
            MetricsText.text(Self.families) == #"""
                # HELP tcpknock_ready Whether.
                # TYPE tcpknock_ready gauge
                tcpknock_ready 1
                # HELP tcpknock_packets_total Packets\nby "reason", \\ and all.
                # TYPE tcpknock_packets_total counter
                tcpknock_packets_total{reason="a",guest="x\"y\\z\nend"} 18446744073709551615
                tcpknock_packets_total{reason="é😀 }{,=",guest=""} 0
                # HELP tcpknock_none_total Without samples.
                # TYPE tcpknock_none_total counter
                # HELP tcpknock_numbers 
                # TYPE tcpknock_numbers gauge
                tcpknock_numbers{index="0"} 0.5
                tcpknock_numbers{index="1"} -1e+300
                tcpknock_numbers{index="2"} +Inf
                tcpknock_numbers{index="3"} -Inf
                tcpknock_numbers{index="4"} NaN
                tcpknock_numbers{index="5"} 5e-324
                tcpknock_numbers{index="6"} 1e+16

                """#)
        #expect(MetricsText.text([]) == "")
    }

    @Test(
        "Names that cannot be are made ones that can",
        arguments: [("a-b c", "a_b_c"), ("1a", "_a"), ("", "_"), ("a:b", "a:b"), ("é\n", "__"), ("a1_B", "a1_B")])
    func names(_ name: String, _ expected: String) {
        let family = MetricFamily(name, "h", .gauge, [Sample(.integer(1), [Label(name, "v")])])
        let label = expected.replacing(":", with: "_")
        #expect(
            MetricsText.text([family]) == """
                # HELP \(expected) h
                # TYPE \(expected) gauge
                \(expected){\(label)="v"} 1

                """)
    }

    /// Whether Debian's python3-prometheus-client is here.
    private static let hasReader = (try? python("import prometheus_client.parser", "").status) == 0

    private static func python(_ program: String, _ input: String) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-c", program, input]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    @Test(
        "The reader of Prometheus' own library for Python reads the same",
        .enabled(if: hasReader, "python3-prometheus-client is not installed; 'make test-packages' does so"))
    func reader() throws {
        let program = """
            import sys
            from prometheus_client.parser import text_string_to_metric_families
            for family in text_string_to_metric_families(sys.argv[1]):
                print(repr((family.name, family.type, family.documentation)))
                for sample in family.samples:
                    print(repr((sample.name, sorted(sample.labels.items()), sample.value)))
            """
        let (status, output) = try Self.python(program, MetricsText.text(Self.families))
        #expect(status == 0)
        #expect(
            output == #"""
                ('tcpknock_ready', 'gauge', 'Whether.')
                ('tcpknock_ready', [], 1.0)
                ('tcpknock_packets', 'counter', 'Packets\nby "reason", \\ and all.')
                ('tcpknock_packets_total', [('guest', 'x"y\\z\nend'), ('reason', 'a')], 1.8446744073709552e+19)
                ('tcpknock_packets_total', [('guest', ''), ('reason', 'é😀 }{,=')], 0.0)
                ('tcpknock_none', 'counter', 'Without samples.')
                ('tcpknock_numbers', 'gauge', '')
                ('tcpknock_numbers', [('index', '0')], 0.5)
                ('tcpknock_numbers', [('index', '1')], -1e+300)
                ('tcpknock_numbers', [('index', '2')], inf)
                ('tcpknock_numbers', [('index', '3')], -inf)
                ('tcpknock_numbers', [('index', '4')], nan)
                ('tcpknock_numbers', [('index', '5')], 5e-324)
                ('tcpknock_numbers', [('index', '6')], 1e+16)

                """#)
    }
}

@Suite struct MetricsFileTests {
    private let collector = LineCollector()
    private let folder: TemporaryFolder
    private static let families = [MetricFamily("a", "b", .gauge, .integer(1))]

    init() throws {
        folder = try TemporaryFolder()
    }

    private func file(_ path: FilePath) -> MetricsFile {
        MetricsFile(path, logger: Logger(label: "test") { [collector] _ in collector })
    }

    @Test("The file is replaced in one step, and readable for all")
    func replaced() throws {
        let file = file(folder.path.appending("m.prom"))
        file.write([])
        let first = try FileDescriptor.open(folder.path.appending("m.prom"), .readOnly)
        defer { try? first.close() }
        _ = try folder.write("m.prom.tmp", Array("left by a run that was killed".utf8))
        file.write(Self.families)
        #expect(try folder.names == ["m.prom"])
        #expect(try folder.mode("m.prom") == 0o644)
        #expect(try String(decoding: folder.read("m.prom"), as: UTF8.self) == MetricsText.text(Self.families))
        // Whoever had the old one open reads that to its end.
        var byte = [UInt8](repeating: 0, count: 1)
        #expect(try byte.withUnsafeMutableBytes { try first.read(into: $0) } == 0)
        file.remove()
        #expect(try folder.names == [])
        #expect(collector.all == [])
    }

    @Test("What is in the way of the temporary file is not written through")
    func symbolicLink() throws {
        let victim = try folder.write("victim", Array("precious".utf8))
        let link = folder.path.appending("m.prom.tmp").string
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: victim.string)
        file(folder.path.appending("m.prom")).write(Self.families)
        #expect(try folder.read("victim") == Array("precious".utf8))
        #expect(try folder.names == ["m.prom", "victim"])
    }

    @Test("An error is logged once until it changes")
    func errors() throws {
        let path = folder.path.appending("sub")
        let file = file(path.appending("m.prom"))
        for _ in 0..<3 { file.write(Self.families) }
        #expect(collector.all.count == 1)
        #expect(collector.all[0].hasPrefix("error metrics not written: create \(path)/m.prom.tmp: No such file"))
        _ = try folder.write("sub", [])
        for _ in 0..<3 { file.write(Self.families) }
        #expect(collector.all.count == 2)
        #expect(collector.all[1].contains("Not a directory"))
        try FileManager.default.removeItem(atPath: path.string)
        try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: false)
        for _ in 0..<3 { file.write(Self.families) }
        #expect(collector.all.count == 3)
        #expect(collector.all[2].hasPrefix("notice metrics are written again"))
        file.remove()
        try FileManager.default.removeItem(atPath: path.string)
    }

    @Test("A folder in the place of the file is an error that leaves nothing behind")
    func folderInPlace() throws {
        let path = folder.path.appending("m.prom")
        try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: false)
        file(path).write(Self.families)
        #expect(try folder.names == ["m.prom"])
        #expect(collector.all.first?.hasPrefix("error metrics not written: rename") == true)
        try FileManager.default.removeItem(atPath: path.string)
    }
}
