// SPDX-License-Identifier: GPL-2.0-or-later
internal import DaemonCore
internal import Glibc
internal import KnockEngine
internal import Linux
internal import Wire

/// Writes records to a state file.
struct StateWriter: ~Copyable {
    /// The number of bytes handed to the system at a time while a file is begun.
    private static let portion = 64 * 1024

    private let file: Int32
    private let registry: KeyRegistry
    private var format: StateFormat
    private var parties: [KeyID: UInt32] = [:]
    private var waiting: [UInt8] = []
    /// The used codes that will share the next record.
    private var codes: [StateRecord.Code] = []
    /// The length of the file, in bytes.
    private(set) var length = 0

    /// Begins the file.
    ///
    /// - Parameters:
    ///   - file: A descriptor of an empty file. It is closed with this object.
    ///   - head: The head of the file.
    ///   - registry: Identifies the guests by their key IDs.
    init(_ file: Int32, _ head: StateFormat.Head, _ registry: KeyRegistry) {
        self.file = file
        self.registry = registry
        format = StateFormat(head, to: &waiting)
    }

    deinit {
        close(file)
    }

    /// Adds a record, which may stay in memory until `flush`.
    mutating func write(_ record: StateRecord) throws(SystemError) {
        format.write(record, to: &waiting)
        if waiting.count >= Self.portion { try hand() }
    }

    private mutating func writeCodes() throws(SystemError) {
        guard !codes.isEmpty else { return }
        let record = StateRecord.usedCodes(codes)
        codes.removeAll(keepingCapacity: true)
        try write(record)
    }

    /// Adds a change reported by the engine.
    mutating func write(_ entry: SharedState.Entry) throws(SystemError) {
        switch entry {
        case .usedCode(let code, let deadline):
            guard let party = try number(of: code.key) else { return }
            codes.append(StateRecord.Code(handshake: code.handshake, party: party, deadline: deadline))
            if codes.count == StateRecord.mostCodes { try writeCodes() }
        case .slots(let span): try write(StateRecord.slots(span))
        case .lockout(let subject, let lockout):
            let party: UInt32?
            if let key = subject.key {
                guard let known = try number(of: key) else { return }
                party = known
            } else {
                party = nil
            }
            try write(StateRecord.lockout(subject.address, party: party, lockout))
        }
    }

    /// Adds the opening or the end of a connection.
    mutating func write(_ change: ConnectionChange) throws(SystemError) {
        switch change {
        case .opened(let flow, let key, let since):
            let party: UInt32? = if let key { try number(of: key) } else { nil }
            try write(StateRecord.opened(flow, party: party, since: since))
        case .ended(let flow):
            try write(StateRecord.ended(flow))
        }
    }

    /// Returns the number of a guest in this file, and adds a record for the guest on first use.
    private mutating func number(of key: KeyID) throws(SystemError) -> UInt32? {
        if let known = parties[key] { return known }
        guard let identity = registry.identity(of: key) else { return nil }
        let number = UInt32(truncatingIfNeeded: parties.count)
        parties[key] = number
        try write(.party(number, name: identity.name, fingerprint: identity.fingerprint))
        return number
    }

    /// Hands everything to the system.
    ///
    /// - Throws: The system's error, such as ENOSPC. The file may then end in the middle of a record.
    mutating func flush() throws(SystemError) {
        try writeCodes()
        try hand()
    }

    private mutating func hand() throws(SystemError) {
        defer { waiting.removeAll(keepingCapacity: waiting.capacity <= 2 * Self.portion) }
        var written = 0
        while written < waiting.count {
            let count = unsafe waiting.withUnsafeBytes { bytes in
                uninterrupted {
                    unsafe Glibc.write(file, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written)
                }
            }
            guard count > 0 else { throw SystemError("write", count < 0 ? errno : EIO) }
            written += count
        }
        length += written
    }

    /// Duplicates the descriptor, so that the caller can wait for the disk while writing goes on.
    ///
    /// The caller closes it.
    borrowing func duplicate() -> Int32 { fcntl(file, F_DUPFD_CLOEXEC, 0) }
}
