// swift-tools-version: 6.2
// SPDX-License-Identifier: GPL-2.0-or-later
import PackageDescription

// The macros of Swift Testing expand to code that strict memory safety warns about, hence `strict` apart.
let common: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    // Packet views are non-escapable types over Span; storing a span in one needs lifetime dependencies.
    .enableExperimentalFeature("Lifetimes"),
]
let strict = common + [.strictMemorySafety()]

let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")

let package = Package(
    name: "tcpknock",
    products: [
        .executable(name: "keygen", targets: ["keygen"]),
        .executable(name: "tcpknock-server", targets: ["tcpknock-server"]),
        .executable(name: "tcpknock-client", targets: ["tcpknock-client"]),
        .executable(name: "tcpknock", targets: ["tcpknock"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(
            name: "CNetfilter", pkgConfig: "libnetfilter_queue",
            providers: [.apt(["libnetfilter-queue-dev", "libnetfilter-conntrack-dev", "libmnl-dev"])]),
        .systemLibrary(name: "CPcap", pkgConfig: "libpcap", providers: [.apt(["libpcap-dev"])]),
        .systemLibrary(name: "CBPF", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev"])]),
        .target(name: "CLinux"),
        // toml++ has headers only, and only C++ can read them.
        .target(name: "CTOML"),

        // Decisions, words on the wire, bytes: no input or output, no clock.
        .target(name: "Wire", swiftSettings: strict),
        .target(name: "KnockProtocol", dependencies: ["Wire", "CSodium"], swiftSettings: strict),
        .target(name: "KnockEngine", dependencies: ["Wire", "KnockProtocol"], swiftSettings: strict),

        // The host: system calls, files with keys, the kernel's queues and its programs.
        .target(name: "Linux", dependencies: ["Wire", "CLinux", system], swiftSettings: strict),
        .target(
            name: "KeyFiles", dependencies: ["Wire", "KnockProtocol", "Linux", "CLinux", system],
            swiftSettings: strict),
        .target(
            name: "Netfilter", dependencies: ["Wire", "Linux", "CNetfilter", "CLinux", system], swiftSettings: strict),
        // The programs for the kernel are not Swift's to compile: `make kernel-filter`.
        .target(
            name: "KernelFilter", dependencies: ["Wire", "KnockProtocol", "Linux", "CBPF", system], exclude: ["bpf"],
            swiftSettings: strict),

        // What people say to a program, and it to them.
        .target(name: "JSONText", swiftSettings: strict),
        .target(name: "Settings", dependencies: ["Wire", "Linux", "CTOML", system], swiftSettings: strict),
        .target(
            name: "Program",
            dependencies: [
                "Wire", "KnockProtocol", "Linux", "KeyFiles", "JSONText", "Settings", "CLinux", arguments, logging,
                system,
            ],
            swiftSettings: strict),
        .target(
            name: "Control",
            dependencies: [
                "Wire", "KnockEngine", "Linux", "Netfilter", "JSONText", "Settings", "Program", "CLinux", logging,
                system,
            ],
            swiftSettings: strict),

        // The daemons.
        .target(
            name: "DaemonCore",
            dependencies: [
                "Wire", "KnockProtocol", "KnockEngine", "Linux", "KeyFiles", "Netfilter", "JSONText", "Settings",
                "Program", "Control", "CLinux", arguments, logging, system,
            ],
            swiftSettings: strict),
        .target(
            name: "Server",
            dependencies: [
                "Wire", "KnockProtocol", "KnockEngine", "Linux", "KeyFiles", "Netfilter", "KernelFilter", "JSONText",
                "Settings", "Program", "Control", "DaemonCore", "CLinux", logging, system,
            ],
            swiftSettings: strict),
        .target(
            name: "Client",
            dependencies: [
                "Wire", "KnockProtocol", "KnockEngine", "Linux", "KeyFiles", "Netfilter", "JSONText", "Settings",
                "Program",
                "Control", "DaemonCore", logging, system,
            ],
            swiftSettings: strict),

        // What `tcpknock` does: `Diagnosis` says what went wrong with a handshake, `Capture` gets its packets.
        .target(
            name: "Doctor",
            dependencies: [
                "Wire", "JSONText", "KnockProtocol", "Linux", "KeyFiles", "Netfilter", "KernelFilter", "Settings",
                "Program", "Control", "CLinux", arguments, system,
            ],
            swiftSettings: strict),
        .target(name: "Diagnosis", dependencies: ["Wire", "JSONText", "KnockProtocol"], swiftSettings: strict),
        .target(
            name: "Capture", dependencies: ["Wire", "KnockProtocol", "Linux", "Diagnosis", "CPcap", system],
            swiftSettings: strict),

        .executableTarget(
            name: "keygen",
            dependencies: ["KnockProtocol", "Linux", "KeyFiles", "Settings", "Program", arguments, system],
            swiftSettings: strict),
        .executableTarget(
            name: "tcpknock-server", dependencies: ["Linux", "Settings", "Program", "Server", arguments],
            swiftSettings: strict),
        .executableTarget(
            name: "tcpknock-client", dependencies: ["Linux", "Settings", "Program", "Client", arguments],
            swiftSettings: strict),
        .executableTarget(
            name: "tcpknock",
            dependencies: [
                "Wire", "KnockProtocol", "KnockEngine", "Linux", "KeyFiles", "KernelFilter", "Netfilter", "JSONText",
                "Settings", "Program", "Control", "Doctor", "Diagnosis", "Capture", arguments, system,
            ],
            swiftSettings: strict),

        // Packets to test with, the published key, seeded randomness; and a malloc that counts.
        .target(
            name: "TestSupport", dependencies: ["Wire", "KnockProtocol", "KnockEngine", logging, system],
            path: "Tests/TestSupport", swiftSettings: common),
        .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
        .testTarget(name: "WireTests", dependencies: ["Wire", "TestSupport"], swiftSettings: common),
        .testTarget(name: "JSONTextTests", dependencies: ["JSONText"], swiftSettings: common),
        .testTarget(
            name: "KnockProtocolTests",
            dependencies: ["Wire", "KnockProtocol", "CSodium", "TestSupport", system],
            swiftSettings: common),
        .testTarget(
            name: "KnockEngineTests",
            dependencies: ["Wire", "KnockProtocol", "KnockEngine", "TestSupport", "CAllocationCounter"],
            swiftSettings: common),
        .testTarget(
            name: "LinuxTests",
            dependencies: ["Linux", "TestSupport", system],
            swiftSettings: common),
        .testTarget(
            name: "KeyFilesTests",
            dependencies: ["Wire", "KnockProtocol", "Linux", "KeyFiles", "TestSupport", system],
            swiftSettings: common),
        .testTarget(
            name: "NetfilterTests",
            dependencies: ["Wire", "Linux", "Netfilter", "TestSupport"],
            swiftSettings: common),
        .testTarget(
            name: "KernelFilterTests",
            dependencies: ["Wire", "KnockProtocol", "Linux", "KernelFilter", "TestSupport", system],
            swiftSettings: common),
        .testTarget(
            name: "SettingsTests",
            dependencies: ["Wire", "Linux", "Settings", "TestSupport", system],
            swiftSettings: common),
        .testTarget(
            name: "ProgramTests",
            dependencies: [
                "Wire", "KnockProtocol", "Linux", "KeyFiles", "Settings", "JSONText", "Program", "TestSupport",
                arguments, logging, system,
            ],
            swiftSettings: common),
        .testTarget(
            name: "ControlTests",
            dependencies: ["Wire", "KnockEngine", "JSONText", "Control", "TestSupport"],
            swiftSettings: common),
        .testTarget(
            name: "DaemonCoreTests",
            dependencies: [
                "Wire", "KnockProtocol", "KnockEngine", "Linux", "Netfilter", "JSONText", "Settings", "Program",
                "Control",
                "DaemonCore", "TestSupport", arguments, logging, system,
            ],
            swiftSettings: common),
        .testTarget(
            name: "ServerTests",
            dependencies: [
                "Wire", "KnockProtocol", "KnockEngine", "Linux", "Netfilter", "Settings", "Program", "Control",
                "DaemonCore",
                "Server", "TestSupport", logging, system,
            ],
            swiftSettings: common),
        .testTarget(
            name: "DiagnosisTests",
            dependencies: ["Wire", "JSONText", "KnockProtocol", "Diagnosis", "TestSupport"],
            swiftSettings: common),
        .testTarget(
            name: "CaptureTests",
            dependencies: ["Wire", "Linux", "Diagnosis", "Capture", "TestSupport", system],
            swiftSettings: common),
        .testTarget(
            name: "DoctorTests",
            dependencies: [
                "Wire", "KnockProtocol", "Linux", "KeyFiles", "Settings", "Netfilter", "Program", "Control",
                "Doctor",
                "TestSupport", system,
            ],
            swiftSettings: common),
    ],
    cxxLanguageStandard: .cxx17
)

// `make bench` alone needs this one.
if Context.environment["TCPKNOCK_BENCHMARKS"] != nil {
    package.targets.append(
        .executableTarget(
            name: "engine-benchmark",
            dependencies: ["Wire", "KnockProtocol", "KnockEngine", "TestSupport", "CAllocationCounter", "CSodium"],
            path: "Benchmarks/engine", swiftSettings: common))
}

// Test programs that only the end-to-end tests need.
if Context.environment["TCPKNOCK_TEST_PROGRAMS"] != nil {
    package.targets.append(
        .executableTarget(
            name: "packet-rewriter", dependencies: ["Wire", "TestSupport"], path: "Tests/EndToEnd/packet-rewriter",
            swiftSettings: common))
}

// SwiftPM has coverage counted in Swift alone; `make coverage` wants it of the C code, too, and as it goes, so that
// nothing is lost of a process that is killed.
if Context.environment["TCPKNOCK_COVERAGE"] != nil {
    let flags = ["-fprofile-instr-generate", "-fcoverage-mapping", "-mllvm", "-runtime-counter-relocation"]
    for target in package.targets where ["CLinux", "CTOML"].contains(target.name) {
        target.cSettings = [.unsafeFlags(flags)]
        target.cxxSettings = [.unsafeFlags(flags)]
    }
}

// What takes bytes from outside, with what must hold whatever they are. `make fuzz` alone builds it for libFuzzer, whose
// runtime the variable names; otherwise it is part of the tests, which replay what was found.
let fuzzed: [Target.Dependency] = [
    "Wire", "JSONText", "KnockProtocol", "KnockEngine", "Linux", "KeyFiles", "Netfilter", "CNetfilter", "Settings",
    "Program", "Control", "DaemonCore", "Server", "Diagnosis", "Capture", "TestSupport", system,
]
if let runtime = Context.environment["TCPKNOCK_FUZZ"] {
    package.targets.append(.target(name: "CLibFuzzer", path: "Tests/Fuzz/CLibFuzzer"))
    package.targets.append(
        .executableTarget(
            name: "tcpknock-fuzz", dependencies: fuzzed + ["CLibFuzzer"], path: "Tests/Fuzz",
            exclude: ["CLibFuzzer", "Replay", "corpus", "regressions"], sources: ["Targets", "Driver"],
            swiftSettings: common,
            linkerSettings: [.unsafeFlags(["-Xlinker", runtime]), .linkedLibrary("stdc++"), .linkedLibrary("m")]))
    for target in package.targets where target.type == .regular || target.type == .executable {
        // -enable-testing is for the targets, which look into modules as tests do.
        target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-sanitize=fuzzer", "-enable-testing"])]
        target.cxxSettings = (target.cxxSettings ?? []) + [.unsafeFlags(["-fsanitize=fuzzer-no-link"])]
    }
} else {
    package.targets.append(
        .testTarget(
            name: "FuzzReplayTests", dependencies: fuzzed, path: "Tests/Fuzz",
            exclude: ["CLibFuzzer", "Driver", "corpus", "regressions"], sources: ["Targets", "Replay"],
            swiftSettings: common))
}
