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
    /// A code has been used: `A` and `C`, whose, of which slot at the latest, and until when it is remembered.
    case usedCode(Handshake, party: UInt32, TimeSlot, deadline: UInt64)
    /// Used codes of this slot have been forgotten.
    case retired(TimeSlot)
    /// An address is locked out, or was until a time in the past.
    case lockout(IPAddress, Lockout)
    /// A connection was admitted; whose is nil if that is not known.
    case opened(Flow, party: UInt32?, since: Instant)
    /// A connection has ended.
    case ended(Flow)
    /// What follows was added to a file that was complete up to here.
    case complete

    /// The first byte of a record.
    private enum Kind: UInt8 {
        case party = 1
        case usedCode, retired, lockout, opened, ended, complete

        /// The length of what follows it, in bytes.
        var length: Int {
            switch self {
            case .party: 4 + 1 + StateRecord.longestName + StateRecord.fingerprintLength
            case .usedCode: 16 + 4 + 4 + 8 + 8
            case .retired: 8
            case .lockout: 16 + 8 + 8 + 1
            case .opened: 36 + 4 + 8 + 8
            case .ended: 36
            case .complete: 0
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

    /// The length of a record by its first byte, that included; nil for what no record begins with.
    static func length(_ first: UInt8) -> Int? { Kind(rawValue: first).map { 1 + $0.length } }

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
        case .usedCode(let handshake, let party, let slot, let deadline):
            bytes.append(Kind.usedCode.rawValue)
            bytes.append(handshake.clientAddress)
            bytes.append(number: handshake.clientISN)
            bytes.append(number: party)
            bytes.append(number: slot.number)
            bytes.append(number: deadline)
        case .retired(let slot):
            bytes.append(Kind.retired.rawValue)
            bytes.append(number: slot.number)
        case .lockout(let address, let lockout):
            bytes.append(Kind.lockout.rawValue)
            bytes.append(address)
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
        guard let kind = reader.number(UInt8.self).flatMap(Kind.init(rawValue:)), reader.left == kind.length,
            let record = Self.read(kind, &reader)
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
            return .usedCode(
                Handshake(clientAddress: address, clientISN: isn), party: party, TimeSlot(number: slot),
                deadline: deadline)
        case .retired:
            return reader.number(UInt64.self).map { .retired(TimeSlot(number: $0)) }
        case .lockout:
            guard let address = reader.address(), let since = reader.number(UInt64.self),
                let until = reader.number(UInt64.self), let reason = reader.number(UInt8.self).flatMap(reason)
            else { return nil }
            return .lockout(address, Lockout(since: since, until: until, reason: reason))
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
        }
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
