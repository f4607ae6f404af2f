#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A hook of tcpknock-server that has fail2ban ban an address that was locked out.
#
# Copy the folders action.d, filter.d and jail.d from this folder to /etc/fail2ban. Copy this file to a place where only
# root can write, such as /usr/local/lib/tcpknock/hooks/, and name it in /etc/tcpknock/server.toml, with the jail:
#
#   on_lockout = ["/usr/local/lib/tcpknock/hooks/ban.sh", "tcpknock"]
#
# Only root can use the socket of fail2ban, so the daemon must stay root, though without root's privileges:
# user = "root".
#
# `fail2ban-client set tcpknock unbanip ADDRESS` lets an address in again.
set -eu

jail=${1:-tcpknock}
if [ "${TCPKNOCK_EVENT:-}" != lockout ] || [ -z "${TCPKNOCK_CLIENT_ADDRESS:-}" ]; then
    echo "ban.sh is a hook for on_lockout of tcpknock-server, which names the address in TCPKNOCK_CLIENT_ADDRESS" >&2
    exit 64
fi
# It prints the number of banned addresses, which is of no use to a daemon.
exec fail2ban-client set "$jail" banip "$TCPKNOCK_CLIENT_ADDRESS" >/dev/null
