// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Linux
import Netfilter
import Testing

@Suite struct SocketDestroyerTests {
    @Test("What this kernel cannot do is said in plain words") func missingFeature() {
        let text = SocketDestroyer.explanation(of: SystemError("close sockets", EOPNOTSUPP))
        #expect(text.hasSuffix("this kernel lacks CONFIG_INET_DIAG_DESTROY, so they are cut off but not closed"))
        let other = SystemError("close sockets", EPERM)
        #expect(SocketDestroyer.explanation(of: other) == other.description)
    }
}
