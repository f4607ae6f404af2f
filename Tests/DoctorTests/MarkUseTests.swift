// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Doctor

@Suite("What rules of others do to our bit of the mark") struct MarkUseTests {
    @Test(
        arguments: [
            ("-j CONNMARK --set-xmark 0x1/0xffffffff", Severity.error), ("-j CONNMARK --set-xmark 0x1/0xff", nil),
            ("-j CONNMARK --set-xmark 0x1000/0x0", .error), ("-j CONNMARK --set-mark 0x1", .error),
            ("-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff", .error),
            ("-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff", nil), ("-j CONNMARK --save-mark", .error),
            ("-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff", .warning),
            ("-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff", nil),
            ("-j MARK --set-xmark 0x1000/0x1000", .error), ("-j MARK --set-xmark 0x1/0xffffffff", nil),
            ("-j MARK --set-xmark 0x1/0xf", nil), ("-m mark --mark 0x1000/0x1000 -j ACCEPT", .warning),
            ("-m mark --mark 0x1000 -j ACCEPT", .warning), ("-m mark --mark 0x1/0xff -j ACCEPT", nil),
            ("-m connmark --mark 0x1800/0x1000 -j ACCEPT", .warning), ("-j ACCEPT", nil),
            ("-j CONNMARK --set-xmark zero", nil), ("-j CONNMARK --set-xmark 0xfffffffff/1", nil), ("-j MARK", nil),
        ] as [(String, Severity?)])
    func uses(_ text: String, _ severity: Severity?) throws {
        let rule = try #require(Rule("-A PREROUTING \(text)"[...]))
        #expect(MarkUse(rule, bit: 0x1000)?.severity == severity)
    }

    @Test("In POSTROUTING the bit no longer means anything behind our rules") func wayOut() throws {
        let rule = try #require(Rule("-A POSTROUTING -j MARK --set-xmark 0x1000/0x1000"))
        #expect(MarkUse(rule, bit: 0x1000) == nil)
    }
}
