// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import KnockProtocol
internal import Wire

/// One line of the state file: something that was so from then on.
///
/// Later ones take the place of earlier ones. Times are milliseconds of the uptime of the boot that the file names.
enum StateRecord: Equatable, Sendable {
    /// What a number in this file stands for: the name of a guest, and the fingerprint of their key.
    case party(UInt32, name: String, fingerprint: String)
    /// Only in files of before: a code has been used, of this slot at the latest.
    case usedCode(Code, TimeSlot)
    /// Only in files of before: used codes of this slot have been forgotten, and of those before it perhaps.
    case retired(TimeSlot)
    /// An address is locked out, or was until a time in the past: for one party, or for all if that is nil.
    case lockout(IPAddress, party: UInt32?, Lockout)
    /// A connection was admitted; whose is nil if that is not known.
    case opened(Flow, party: UInt32?, since: Instant)
    /// A connection has ended.
    case ended(Flow)
    /// What follows was added to a file that was complete up to here.
    case complete
    /// Codes have been used: `mostCodes` at most, and one at least.
    case usedCodes([Code])
    /// Codes of these slots have been used.
    case slots(SlotSpan)

    /// A used code: `A` and `C`, whose, and until when it is remembered.
    struct Code: Equatable, Sendable {
        var handshake: Handshake
        var party: UInt32
        var deadline: UInt64
    }

    /// So many codes share a record, and its checksum.
    static let mostCodes = 128

    /// The first byte of a record.
    private enum Kind: UInt8 {
        case party = 1
        case usedCode, retired, lockout, opened, ended, complete, usedCodes, slots, partyLockout

        /// The length of what follows it, in bytes; of used codes, that of one.
        var length: Int {
            switch self {
            case .party: 4 + 1 + StateRecord.longestName + StateRecord.fingerprintLength
            case .usedCode: 16 + 4 + 4 + 8 + 8
            case .retired: 8
            case .lockout: 16 + 8 + 8 + 1
            case .opened: 36 + 4 + 8 + 8
            case .ended: 36
            case .complete: 0
            case .usedCodes: 16 + 4 + 4 + 8
            case .slots: 8 + 8 + 8
            case .partyLockout: 16 + 4 + 8 + 8 + 1
            }
        }
    }

    /// The longest name that settings allow, in bytes.
    private static let longestName = 64
    /// 32 digits in groups of four, with hyphens.
    private static let fingerprintLength = 39
    /// What can lock out, by the number that stands for it.
    private static let lockoutReasons: [Reason] = [.wrongAcknowledgment, .tooManyWrongCodes, .maskedAcknowledgment]
    /// Stands for nobody in the place of a party.
    private static let nobody = UInt32.max

    /// So many bytes say how long a record is.
    static let lengthOfLength = 2

    /// The length of a record by its first two bytes.
    ///
    /// - Parameters:
    ///   - first: Its first byte.
    ///   - second: The one behind it, of the next record perhaps; nil if there is none.
    /// - Returns: The length, those two included; nil for what no record begins with.
    static func length(_ first: UInt8, _ second: UInt8?) -> Int? {
        guard let kind = Kind(rawValue: first) else { return nil }
        // Where the number of codes is missing, it is one too few bytes in any case.
        guard kind == .usedCodes else { return 1 + kind.length }
        guard let second else { return lengthOfLength }
        return 1...mostCodes ~= Int(second) ? 2 + Int(second) * kind.length : nil
    }

    // MARK: Writing

    /// Adds the record to the bytes; as long as its first byte says.
    func write(to bytes: inout [UInt8]) {
        switch self {
        case .party(let number, let name, let fingerprint):
            bytes.append(Kind.party.rawValue)
            bytes.append(number: number)
            let name = Self.padded(name, Self.longestName)
            bytes.append(UInt8(truncatingIfNeeded: name.length))
            bytes += name.bytes
            bytes += Self.padded(fingerprint, Self.fingerprintLength).bytes
        case .usedCode(let code, let slot):
            bytes.append(Kind.usedCode.rawValue)
            bytes.append(code.handshake.clientAddress)
            bytes.append(number: code.handshake.clientISN)
            bytes.append(number: code.party)
            bytes.append(number: slot.number)
            bytes.append(number: code.deadline)
        case .retired(let slot):
            bytes.append(Kind.retired.rawValue)
            bytes.append(number: slot.number)
        case .lockout(let address, let party, let lockout):
            bytes.append((party == nil ? Kind.lockout : .partyLockout).rawValue)
            bytes.append(address)
            if let party { bytes.append(number: party) }
            bytes.append(number: lockout.since)
            bytes.append(number: lockout.until)
            bytes.append(UInt8(Self.lockoutReasons.firstIndex(of: lockout.reason) ?? 0))
        case .opened(let flow, let party, let since):
            bytes.append(Kind.opened.rawValue)
            Self.write(flow, to: &bytes)
            bytes.append(number: party ?? Self.nobody)
            bytes.append(number: UInt64(bitPattern: since.unixSeconds))
            bytes.append(number: since.uptime)
        case .ended(let flow):
            bytes.append(Kind.ended.rawValue)
            Self.write(flow, to: &bytes)
        case .complete:
            bytes.append(Kind.complete.rawValue)
        case .usedCodes(let codes):
            bytes.append(Kind.usedCodes.rawValue)
            bytes.append(UInt8(clamping: codes.count))
            for code in codes.prefix(Self.mostCodes) {
                bytes.append(code.handshake.clientAddress)
                bytes.append(number: code.handshake.clientISN)
                bytes.append(number: code.party)
                bytes.append(number: code.deadline)
            }
        case .slots(let span):
            bytes.append(Kind.slots.rawValue)
            bytes.append(number: span.first.number)
            bytes.append(number: span.last.number)
            bytes.append(number: span.retires)
        }
    }

    private static func padded(_ text: String, _ length: Int) -> (bytes: [UInt8], length: Int) {
        let bytes = Array(text.utf8.prefix(length))
        return (bytes + [UInt8](repeating: 0, count: length - bytes.count), bytes.count)
    }

    private static func write(_ flow: Flow, to bytes: inout [UInt8]) {
        bytes.append(flow.clientAddress)
        bytes.append(flow.serverAddress)
        bytes.append(number: flow.clientPort)
        bytes.append(number: flow.serverPort)
    }

    // MARK: Reading

    /// Takes a record; nil if the bytes are none, whatever they are.
    init?(_ bytes: ArraySlice<UInt8>) {
        var reader = ByteReader(bytes)
        guard let first = bytes.first, bytes.count == Self.length(first, bytes.dropFirst().first),
            let kind = reader.number(UInt8.self).flatMap(Kind.init(rawValue:)), let record = Self.read(kind, &reader)
        else { return nil }
        self = record
    }

    private static func read(_ kind: Kind, _ reader: inout ByteReader) -> StateRecord? {
        switch kind {
        case .party:
            guard let number = reader.number(UInt32.self), number != nobody, let length = reader.number(UInt8.self),
                length <= longestName, let name = reader.take(longestName), let print = reader.take(fingerprintLength)
            else { return nil }
            return .party(
                number, name: String(decoding: name.prefix(Int(length)), as: UTF8.self),
                fingerprint: String(decoding: print, as: UTF8.self))
        case .usedCode:
            guard let address = reader.address(), let isn = reader.number(UInt32.self),
                let party = reader.number(UInt32.self), let slot = reader.number(UInt64.self),
                let deadline = reader.number(UInt64.self)
            else { return nil }
            let handshake = Handshake(clientAddress: address, clientISN: isn)
            return .usedCode(Code(handshake: handshake, party: party, deadline: deadline), TimeSlot(number: slot))
        case .retired:
            return reader.number(UInt64.self).map { .retired(TimeSlot(number: $0)) }
        case .lockout, .partyLockout:
            guard let address = reader.address() else { return nil }
            let party = kind == .partyLockout ? reader.number(UInt32.self) : nil
            guard let since = reader.number(UInt64.self),
                let until = reader.number(UInt64.self), let reason = reader.number(UInt8.self).flatMap(reason)
            else { return nil }
            return .lockout(address, party: party, Lockout(since: since, until: until, reason: reason))
        case .opened:
            guard let flow = flow(&reader), let party = reader.number(UInt32.self),
                let unix = reader.number(UInt64.self), let uptime = reader.number(UInt64.self)
            else { return nil }
            let since = Instant(unixSeconds: Int64(bitPattern: unix), uptime: uptime)
            return .opened(flow, party: party == nobody ? nil : party, since: since)
        case .ended:
            return flow(&reader).map { .ended($0) }
        case .complete:
            return .complete
        case .usedCodes:
            return codes(&reader).map { .usedCodes($0) }
        case .slots:
            guard let first = reader.number(UInt64.self), let last = reader.number(UInt64.self), first <= last,
                let retires = reader.number(UInt64.self)
            else { return nil }
            return .slots(SlotSpan(TimeSlot(number: first), TimeSlot(number: last), retires: retires))
        }
    }

    private static func codes(_ reader: inout ByteReader) -> [Code]? {
        guard let count = reader.number(UInt8.self) else { return nil }
        var codes: [Code] = []
        codes.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let address = reader.address(), let isn = reader.number(UInt32.self),
                let party = reader.number(UInt32.self), let deadline = reader.number(UInt64.self)
            else { return nil }
            let handshake = Handshake(clientAddress: address, clientISN: isn)
            codes.append(Code(handshake: handshake, party: party, deadline: deadline))
        }
        return codes
    }

    private static func reason(_ byte: UInt8) -> Reason? {
        lockoutReasons.indices.contains(Int(byte)) ? lockoutReasons[Int(byte)] : nil
    }

    private static func flow(_ reader: inout ByteReader) -> Flow? {
        guard let client = reader.address(), let server = reader.address(),
            let clientPort = reader.number(UInt16.self), let serverPort = reader.number(UInt16.self)
        else { return nil }
        return Flow(clientAddress: client, clientPort: clientPort, serverAddress: server, serverPort: serverPort)
    }
}
