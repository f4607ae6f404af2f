// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// A generator of reproducible random numbers: SplitMix64 from a seed that is printed.
///
/// `TCPKNOCK_TEST_SEED` in the environment repeats a run.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    /// Takes the seed from the environment, or a random one, and prints it with the name of the test.
    package init(_ test: String) {
        let given = unsafe getenv("TCPKNOCK_TEST_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
        let seed = given ?? .random(in: 0...UInt64.max)
        print("\(test): TCPKNOCK_TEST_SEED=\(seed)")
        self.init(seed: seed)
    }

    /// Starts from a given seed.
    package init(seed: UInt64) {
        state = seed
    }

    /// Returns the next number.
    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// Returns this many random bytes.
    package mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}
