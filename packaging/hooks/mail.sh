#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A hook of tcpknock-server that sends mail about an event.
#
# Copy it to a place where only root can write, such as /usr/local/lib/tcpknock/hooks/, and name it in
# /etc/tcpknock/server.toml, with the recipient's address:
#
#   on_lockout = ["/usr/local/lib/tcpknock/hooks/mail.sh", "root"]
#
# It needs a sendmail(8) that works without privileges, such as that of Debian's msmtp-mta, or mail(1) on top of one.
# Hooks have no capabilities and gain none from setuid programs, so the sendmail of postfix and exim4 cannot put mail
# into its queue.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: mail.sh ADDRESS (run by tcpknock-server, which tells the rest in TCPKNOCK_... variables)" >&2
    exit 64
fi
address=$1

# Unknown values are not set; leave out their lines.
line() { # LABEL VALUE
    if [ -n "$2" ]; then printf '%-10s %s\n' "$1" "$2"; fi
}

# Control characters are removed: a crafted name could otherwise end the mail header and begin another.
one_line() { printf %s "$1" | tr -d '\000-\037\177'; }

subject="tcpknock: $(one_line "${TCPKNOCK_EVENT:-test}")"
subject="$subject $(one_line "${TCPKNOCK_GUEST:-}") from $(one_line "${TCPKNOCK_CLIENT_ADDRESS:-nowhere}")"

body() {
    line event "${TCPKNOCK_EVENT:-}"
    line time "${TCPKNOCK_TIME:-}"
    line guest "${TCPKNOCK_GUEST:-}"
    line client "${TCPKNOCK_CLIENT_ADDRESS:-} port ${TCPKNOCK_CLIENT_PORT:-}"
    line server "${TCPKNOCK_SERVER_ADDRESS:-} port ${TCPKNOCK_SERVER_PORT:-}"
    line reason "${TCPKNOCK_REASON:-}"
    line seconds "${TCPKNOCK_SECONDS:-}"
    line received "${TCPKNOCK_BYTES_RECEIVED:-}"
    line sent "${TCPKNOCK_BYTES_SENT:-}"
    line host "$(uname -n)"
}

if command -v sendmail >/dev/null; then
    # Without -t, no recipients are taken from the text. -i keeps a line with a single dot from ending it.
    {
        printf 'To: %s\nSubject: %s\nMIME-Version: 1.0\n' "$(one_line "$address")" "$subject"
        printf 'Content-Type: text/plain; charset=utf-8\nAuto-Submitted: auto-generated\n\n'
        body
    } | sendmail -i -- "$address"
elif command -v mail >/dev/null; then
    body | mail -s "$subject" -- "$address"
else
    echo "neither sendmail nor mail is installed" >&2
    exit 69
fi
