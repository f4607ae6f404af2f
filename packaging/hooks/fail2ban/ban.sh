#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A hook of tcpknock-server that has fail2ban ban the address that was locked out.
#
# Copy the folders action.d, filter.d and jail.d of this folder into /etc/fail2ban, copy this file to where root alone
# can write, say to /usr/local/lib/tcpknock/hooks/, and name it in /etc/tcpknock/server.toml, with the jail:
#
#   on_lockout = ["/usr/local/lib/tcpknock/hooks/ban.sh", "tcpknock"]
#
# The socket of fail2ban is root's, so the daemon must stay root, without its rights: user = "root".
#
# `fail2ban-client set tcpknock unbanip ADDRESS` lets an address in again.
set -eu

jail=${1:-tcpknock}
if [ "${TCPKNOCK_EVENT:-}" != lockout ] || [ -z "${TCPKNOCK_CLIENT_ADDRESS:-}" ]; then
    echo "ban.sh is a hook for on_lockout of tcpknock-server, which names the address in TCPKNOCK_CLIENT_ADDRESS" >&2
    exit 64
fi
# It says how many were banned, which is of no use to a daemon.
exec fail2ban-client set "$jail" banip "$TCPKNOCK_CLIENT_ADDRESS" >/dev/null
