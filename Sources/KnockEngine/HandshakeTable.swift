// SPDX-License-Identifier: GPL-2.0-or-later

/// The handshakes in progress.
typealias HandshakeTable = GuestTable<HandshakeName, PendingHandshake>
