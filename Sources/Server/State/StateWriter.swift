// SPDX-License-Identifier: GPL-2.0-or-later
internal import DaemonCore
internal import Glibc
internal import KeyFiles
internal import KnockEngine
internal import Linux
internal import Wire

/// A state file that is being written to.
struct StateWriter: ~Copyable {
    /// So many bytes are handed to the system at a time while a file is begun.
    private static let portion = 64 * 1024

    private let file: Int32
    private let registry: KeyRegistry
    private var format: StateFormat
    private var parties: [KeyID: UInt32] = [:]
    private var waiting: [UInt8] = []
    /// Used codes that are to share a record.
    private var codes: [StateRecord.Code] = []
    /// How long the file is, in bytes.
    private(set) var length = 0

    /// Begins the file.
    ///
    /// - Parameters:
    ///   - file: A descriptor of an empty file, which this closes.
    ///   - head: What it begins with.
    ///   - registry: Knows whom the numbers of guests stand for.
    init(_ file: Int32, _ head: StateFormat.Head, _ registry: KeyRegistry) {
        self.file = file
        self.registry = registry
        format = StateFormat(head, to: &waiting)
    }

    deinit {
        close(file)
    }

    /// Adds a record; it may wait for `flush`.
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

    /// Adds what has changed in the engine.
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

    /// Adds a connection that was admitted, or has ended.
    mutating func write(_ change: ConnectionChange) throws(SystemError) {
        switch change {
        case .opened(let flow, let key, let since):
            let party: UInt32? = if let key { try number(of: key) } else { nil }
            try write(StateRecord.opened(flow, party: party, since: since))
        case .ended(let flow):
            try write(StateRecord.ended(flow))
        }
    }

    /// The number of a guest in this file, which is told once.
    private mutating func number(of key: KeyID) throws(SystemError) -> UInt32? {
        if let known = parties[key] { return known }
        guard let identity = registry.identity(of: key) else { return nil }
        let number = UInt32(truncatingIfNeeded: parties.count)
        parties[key] = number
        try write(.party(number, name: identity.name, fingerprint: identity.fingerprint))
        return number
    }

    /// Hands all to the system.
    ///
    /// - Throws: What is in the way, such as ENOSPC; the file may end in the middle of a record then.
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

    /// A descriptor of the same file, for who waits for the disk while this goes on; to be closed.
    borrowing func duplicate() -> Int32 { fcntl(file, F_DUPFD_CLOEXEC, 0) }
}

/// What becomes of connections.
enum ConnectionChange: Equatable, Sendable {
    /// One was admitted.
    case opened(Flow, KeyID?, since: Instant)
    /// One has ended.
    case ended(Flow)
}
