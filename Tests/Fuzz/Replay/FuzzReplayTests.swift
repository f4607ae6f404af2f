// SPDX-License-Identifier: GPL-2.0-or-later
import SystemPackage
import TestSupport
import Testing

@Suite("Inputs that fuzzing has found") struct FuzzReplayTests {
    @Test("What must hold holds for all inputs that are kept", arguments: FuzzTarget.all)
    func replay(_ target: FuzzTarget) throws {
        let corpus = try Repository.files(in: "Tests/Fuzz/corpus/\(target.name)")
        #expect(corpus.count > 1, "no corpus")
        let regressions = (try? Repository.files(in: "Tests/Fuzz/regressions/\(target.name)")) ?? []
        for file in corpus + regressions {
            let input = try Repository.read(file)
            #expect(throws: Never.self, "\(file)") { try target.run(input) }
        }
    }
}
