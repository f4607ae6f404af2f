// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Linux
internal import Program

/// The format of the state file: a head, then records, each followed by a checksum of everything before it.
///
/// The head consists of `magic`, the version (4 bytes), the ID of the boot that uptimes refer to (16), 16 random bytes,
/// the time of writing in seconds since 1970 (8), the uptime in milliseconds (8), and a checksum. All numbers are in
/// network byte order. A checksum covers the previous checksum and its own record, so records cannot be left out or
/// reordered.
struct StateFormat {
    /// The bytes at the start of the file.
    private static let magic = Array("TCPKNOCK".utf8)
    /// The version of the format.
    ///
    /// Other versions are not read.
    static let version: UInt32 = 1
    private static let headLength = 8 + 4 + 16 + 16 + 8 + 8

    /// The boot and the time in which a file was begun.
    struct Head: Equatable, Sendable {
        /// The ID of the boot that uptimes refer to; 16 bytes.
        var boot: [UInt8]
        /// Random bytes, so that blocks of an earlier file do not match this file's checksums.
        var salt: [UInt8]
        /// The time in seconds since 1970.
        var unixSeconds: Int64
        /// The uptime in milliseconds.
        var uptime: UInt64
    }

    /// The reason why a file cannot be trusted.
    enum Damage: Error, Equatable, CustomStringConvertible {
        /// It cannot be read.
        case unreadable(SystemError)
        /// It does not begin with the magic bytes of a state file.
        case notAStateFile
        /// It is of another version.
        case version(UInt32)
        /// A checksum is wrong, or a record has an unknown type; with the offset in bytes.
        case damaged(at: Int)
        /// It ends before the `complete` record.
        case incomplete

        var description: String {
            switch self {
            case .unreadable(let error): error.description
            case .notAStateFile: "it does not begin as a state file does"
            case .version(let version): "it is of version \(version), and this program reads \(StateFormat.version)"
            case .damaged(let offset): "it is damaged at byte \(offset)"
            case .incomplete: "it ends before it is complete"
            }
        }
    }

    // MARK: Writing

    private var check: [UInt8]
    /// The previous checksum and the current record; a property to reuse its memory.
    private var text: [UInt8] = []

    /// Begins a file by appending its head to `bytes`.
    init(_ head: Head, to bytes: inout [UInt8]) {
        var text = Self.magic
        text.append(number: Self.version)
        text += Self.padded(head.boot)
        text += Self.padded(head.salt)
        text.append(number: UInt64(bitPattern: head.unixSeconds))
        text.append(number: head.uptime)
        check = Checksum.compute(text.span)
        bytes += text
        bytes += check
    }

    /// Appends a record and its checksum to the bytes.
    mutating func write(_ record: StateRecord, to bytes: inout [UInt8]) {
        text.removeAll(keepingCapacity: true)
        text += check
        record.write(to: &text)
        check = Checksum.compute(text.span)
        bytes += text.dropFirst(Checksum.length)
        bytes += check
    }

    private static func padded(_ bytes: [UInt8]) -> [UInt8] {
        Array(bytes.prefix(16)) + [UInt8](repeating: 0, count: max(0, 16 - bytes.count))
    }

    // MARK: Reading

    /// Reads a file to its end.
    ///
    /// An incomplete write at the end, as after a power failure, is accepted. Everything else must be intact.
    ///
    /// - Parameters:
    ///   - input: The bytes of the file.
    ///   - visit: Called with each record. The records can be trusted only if the function does not throw.
    /// - Returns: The head, and the number of bytes of an incomplete write at the end.
    /// - Throws: The reason why nothing in the file can be trusted.
    static func read(
        _ input: inout StateInput, _ visit: (Head, StateRecord) -> Void
    ) throws(Damage) -> (head: Head, torn: Int) {
        var (head, check) = try readHead(&input)
        var isComplete = false
        var covered: [UInt8] = []
        while let first = try input.peek(0) {
            let start = input.offset
            let length = StateRecord.length(first, try input.peek(1))
            guard let length, try input.has(length + Checksum.length) else {
                // The end of an interrupted write, or a hole left by the file system.
                let isHole = length == nil && first == 0
                let left = try input.skipRest(isHole)
                guard let left, isComplete, length != nil || isHole else {
                    throw isComplete || length == nil ? .damaged(at: start) : .incomplete
                }
                return (head, left)
            }
            let text = input.take(length)
            covered.removeAll(keepingCapacity: true)
            covered += check
            covered += text
            check = Checksum.compute(covered.span)
            guard let record = StateRecord(text), input.take(Checksum.length).elementsEqual(check) else {
                throw .damaged(at: start)
            }
            if record == .complete { isComplete = true } else { visit(head, record) }
        }
        guard isComplete else { throw .incomplete }
        return (head, 0)
    }

    private static func readHead(_ input: inout StateInput) throws(Damage) -> (head: Head, check: [UInt8]) {
        guard try input.has(magic.count + 4) else {
            let begin = try input.has(magic.count) ? Array(input.take(magic.count)) : []
            throw begin == magic ? .incomplete : .notAStateFile
        }
        var text = Array(input.take(magic.count + 4))
        guard text.starts(with: magic) else { throw .notAStateFile }
        var reader = ByteReader(text[magic.count...])
        guard let version = reader.number(UInt32.self) else { throw .incomplete }
        guard version == Self.version else { throw .version(version) }
        guard try input.has(headLength - text.count + Checksum.length) else { throw .incomplete }
        text += input.take(headLength - text.count)
        reader = ByteReader(text[(magic.count + 4)...])
        guard let boot = reader.take(16), let salt = reader.take(16), let unix = reader.number(UInt64.self),
            let uptime = reader.number(UInt64.self)
        else { throw .incomplete }
        let check = Checksum.compute(text.span)
        guard input.take(Checksum.length).elementsEqual(check) else { throw .damaged(at: 0) }
        let head = Head(
            boot: Array(boot), salt: Array(salt), unixSeconds: Int64(bitPattern: unix), uptime: uptime)
        return (head, check)
    }
}
