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

let executable: [Target.Dependency] = [
    "Wire", "KnockProtocol", "KnockEngine", "NetfilterQueue", "Settings", "Daemon",
    .product(name: "ArgumentParser", package: "swift-argument-parser"),
    .product(name: "SystemPackage", package: "swift-system"),
]

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

        .target(name: "Wire", swiftSettings: strict),
        .target(name: "JSONText", swiftSettings: strict),
        .target(
            name: "KnockProtocol",
            dependencies: ["Wire", "CSodium", "CLinux", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: strict),
        .target(name: "KnockEngine", dependencies: ["Wire", "KnockProtocol"], swiftSettings: strict),
        .target(
            name: "NetfilterQueue",
            dependencies: [
                "Wire", "CNetfilter", "CLinux", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // The program for the kernel is not Swift's to compile: `make kernel-filter`.
        .target(
            name: "KernelFilter",
            dependencies: ["Wire", "KnockProtocol", "CBPF", .product(name: "SystemPackage", package: "swift-system")],
            exclude: ["bpf"], swiftSettings: strict),
        .target(
            name: "Settings",
            dependencies: ["Wire", "CTOML", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: strict),
        .target(
            name: "Daemon",
            dependencies: [
                "Wire", "JSONText", "KnockProtocol", "KnockEngine", "NetfilterQueue", "KernelFilter", "Settings",
                "CLinux",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        .target(
            name: "Doctor",
            dependencies: [
                "Wire", "JSONText", "KnockProtocol", "NetfilterQueue", "KernelFilter", "Settings", "Daemon", "CLinux",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        // What went wrong with a handshake: `Diagnosis` says it without I/O, `Capture` gets the packets.
        .target(name: "Diagnosis", dependencies: ["Wire", "JSONText", "KnockProtocol"], swiftSettings: strict),
        .target(name: "Capture", dependencies: ["Wire", "KnockProtocol", "Diagnosis", "CPcap"], swiftSettings: strict),

        .executableTarget(name: "keygen", dependencies: executable, swiftSettings: strict),
        .executableTarget(name: "tcpknock-server", dependencies: executable, swiftSettings: strict),
        .executableTarget(name: "tcpknock-client", dependencies: executable, swiftSettings: strict),
        .executableTarget(
            name: "tcpknock",
            dependencies: executable + ["JSONText", "Doctor", "Diagnosis", "Capture", "KernelFilter"],
            swiftSettings: strict),

        // Packets to test with, the published key, seeded randomness; and a malloc that counts.
        .target(
            name: "TestSupport",
            dependencies: ["Wire", "KnockProtocol", .product(name: "SystemPackage", package: "swift-system")],
            path: "Tests/TestSupport", swiftSettings: common),
        .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
        .testTarget(name: "WireTests", dependencies: ["Wire", "TestSupport"], swiftSettings: common),
        .testTarget(name: "JSONTextTests", dependencies: ["JSONText"], swiftSettings: common),
        .testTarget(
            name: "KnockProtocolTests",
            dependencies: [
                "Wire", "KnockProtocol", "CSodium", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: common),
        .testTarget(
            name: "KnockEngineTests",
            dependencies: ["Wire", "KnockProtocol", "KnockEngine", "TestSupport", "CAllocationCounter"],
            swiftSettings: common),
        .testTarget(
            name: "NetfilterQueueTests", dependencies: ["Wire", "NetfilterQueue", "TestSupport"],
            swiftSettings: common),
        .testTarget(
            name: "KernelFilterTests",
            dependencies: [
                "Wire", "KnockProtocol", "KernelFilter", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: common),
        .testTarget(
            name: "DiagnosisTests", dependencies: ["Wire", "JSONText", "KnockProtocol", "Diagnosis", "TestSupport"],
            swiftSettings: common),
        .testTarget(
            name: "CaptureTests",
            dependencies: [
                "Wire", "Diagnosis", "Capture", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: common),
        .testTarget(
            name: "SettingsTests",
            dependencies: [
                "Wire", "Settings", "TestSupport", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: common),
        .testTarget(
            name: "DaemonTests",
            dependencies: [
                "Wire", "JSONText", "KnockProtocol", "KnockEngine", "NetfilterQueue", "Settings", "Daemon",
                "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: common),
        .testTarget(
            name: "DoctorTests",
            dependencies: [
                "Wire", "KnockProtocol", "Daemon", "Doctor", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
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
    "Wire", "JSONText", "KnockProtocol", "KnockEngine", "NetfilterQueue", "CNetfilter", "Settings", "Daemon",
    "Diagnosis", "Capture",
    "TestSupport", .product(name: "SystemPackage", package: "swift-system"),
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
