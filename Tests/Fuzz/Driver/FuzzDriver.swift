// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLibFuzzer
internal import Glibc

/// Runs one target under libFuzzer: `tcpknock-fuzz TARGET [libFuzzer's options and folders]`; without a name, lists
/// all targets.
@main struct FuzzDriver {
    /// libFuzzer takes a plain C function, which can know the target from nowhere else.
    nonisolated(unsafe) private static var target = FuzzTarget.all[0]

    static func main() {
        let name = CommandLine.arguments.dropFirst().first ?? ""
        guard let chosen = FuzzTarget.all.first(where: { $0.name == name }) else {
            for target in FuzzTarget.all { print(target.name) }
            exit(name.isEmpty ? 0 : 64)
        }
        target = chosen
        // Without the name of the target: libFuzzer would take it for a folder.
        var arguments = [CommandLine.unsafeArgv[0]]
        for index in 2..<max(2, Int(CommandLine.argc)) { arguments.append(CommandLine.unsafeArgv[index]) }
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
