// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import KnockProtocol
internal import Wire

/// A record of the state file: a fact that holds from then on.
///
/// Later records replace earlier ones. Times are milliseconds of uptime of the boot that the file's head names.
enum StateRecord: Equatable, Sendable {
    /// The name and the key fingerprint of the guest that a number stands for in this file.
    case party(UInt32, name: String, fingerprint: String)
    /// A code was used, in this slot at the latest.
    ///
    /// Only in files of earlier versions.
    case usedCode(Code, TimeSlot)
    /// Used codes of this slot, and possibly of earlier ones, were forgotten.
    ///
    /// Only in files of earlier versions.
    case retired(TimeSlot)
    /// An address is or was locked out, for one party or, if nil, for all.
    case lockout(IPAddress, party: UInt32?, Lockout)
    /// A connection was admitted.
    ///
    /// The party is nil if it is unknown.
    case opened(Flow, party: UInt32?, since: Instant)
    /// A connection has ended.
    case ended(Flow)
    /// The file was complete up to here.
    ///
    /// Whatever follows was added later.
    case complete
    /// Codes were used; between 1 and `mostCodes`.
    case usedCodes([Code])
    /// Codes of these slots were used.
    case slots(SlotSpan)

    /// A used code: `A` and `C`, the party, and the time until which it is remembered.
    struct Code: Equatable, Sendable {
        var handshake: Handshake
        var party: UInt32
        var deadline: UInt64
    }

    /// The number of codes that can share a record and its checksum.
    static let mostCodes = 128

    /// The first byte of a record.
    private enum Kind: UInt8 {
        case party = 1
        case usedCode, retired, lockout, opened, ended, complete, usedCodes, slots, partyLockout

        /// The length of the record's content, in bytes; for used codes, of a single code.
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

    /// The longest name that the settings allow, in bytes.
    private static let longestName = 64
    /// The length of 32 digits in groups of four, with hyphens.
    private static let fingerprintLength = 39
    /// The reasons for a lockout, at the index that stands for each in the file.
    private static let lockoutReasons: [Reason] = [.wrongAcknowledgment, .tooManyWrongCodes, .maskedAcknowledgment]
    /// The party number that stands for nobody.
    private static let nobody = UInt32.max

    /// The number of bytes that determine the length of a record.
    static let lengthOfLength = 2

    /// Returns the length of a record, given its first two bytes.
    ///
    /// - Parameters:
    ///   - first: The first byte.
    ///   - second: The byte after it, which may belong to the next record; nil if there is none.
    /// - Returns: The length in bytes, including those two; nil if no record begins like this.
    static func length(_ first: UInt8, _ second: UInt8?) -> Int? {
        guard let kind = Kind(rawValue: first) else { return nil }
        // If the number of codes is missing, there is at least one byte too few in any case.
        guard kind == .usedCodes else { return 1 + kind.length }
        guard let second else { return lengthOfLength }
        return 1...mostCodes ~= Int(second) ? 2 + Int(second) * kind.length : nil
    }

    // MARK: Writing

    /// Appends the record to the bytes.
    ///
    /// Its length is what `length(_:_:)` returns.
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

    /// Parses a record from arbitrary bytes; nil if they are not one.
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
