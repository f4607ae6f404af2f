// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLibFuzzer
internal import Glibc

/// Runs one target under libFuzzer: `tcpknock-fuzz TARGET [libFuzzer's options and folders]`; without a name, lists
/// all targets.
@main struct FuzzDriver {
    /// libFuzzer takes a plain C function, which can know the target from nowhere else.
    nonisolated(unsafe) private static var target = FuzzTarget.all[0]

    /// Where processes that libFuzzer starts itself, as to merge corpora, find the name.
    private static let variable = "TCPKNOCK_FUZZ_TARGET"

    static func main() {
        let given = CommandLine.arguments.dropFirst().first ?? ""
        let inherited = getenv(variable).map { String(cString: $0) }
        let name = given.isEmpty || given.hasPrefix("-") ? inherited ?? given : given
        guard let chosen = FuzzTarget.all.first(where: { $0.name == name }) else {
            for target in FuzzTarget.all { print(target.name) }
            exit(name.isEmpty ? 0 : 64)
        }
        setenv(variable, name, 1)
        target = chosen
        // Without the name of the target: libFuzzer would take it for a folder.
        var arguments = [CommandLine.unsafeArgv[0]]
        let first = name == given ? 2 : 1
        for index in first..<max(first, Int(CommandLine.argc)) { arguments.append(CommandLine.unsafeArgv[index]) }
        var count = Int32(arguments.count)
        arguments.append(nil)
        let status = arguments.withUnsafeMutableBufferPointer { arguments in
            var start = arguments.baseAddress
            return LLVMFuzzerRunDriver(&count, &start) { bytes, count in
                FuzzDriver.run(UnsafeBufferPointer(start: bytes, count: count))
                return 0
            }
        }
        exit(status)
    }

    private static func run(_ bytes: UnsafeBufferPointer<UInt8>) {
        do throws(Violation) {
            try target.run(Array(bytes))
        } catch {
            fatalError("\(target.name): \(error.text)")
        }
    }
}
