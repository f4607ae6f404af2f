# shellcheck shell=dash
# The common part of server.sh and client.sh: it reads the command line (options.sh), puts a set of rules into the kernel
# or removes it, always as a whole (tables.sh), and says what is there (status.sh). The rules themselves are in those two
# files.
#
# How it works
# - Each script describes its rules as text, in the syntax of iptables-save (its function `wanted_rules`).
# - One `iptables-restore --noflush` for each family and table replaces the present rules with the wanted ones. The
#   kernel applies such a change as a whole, so no packet ever meets half a rule set.
# - All rules are in chains of our own, whose names begin with $OWN. Hooks into built-in chains come first, so that no
#   other rule can accept a packet before we have seen it.
# - The requested values are stored in the kernel itself, as comments in a chain that nothing jumps to ($OWN-NOTE). So
#   they always agree with the rules. (Records, below, are about the past.)
#
# A script that sources this sets HERE (the folder of these files), ROLE (its name for people), OWN, TABLES, FLAGS, SWITCHES (the flags without a value)
# and the defaults:
# - QUEUE_RANGES: the part about ranges in the message about a wrong queue; empty if ranges are not allowed.
# - INSTANCE: the name of another server on this host.
# - SETS: set if the rules are of an earlier version and match address sets.
# - KEEPING: set if the rules keep earlier connections.
# - PROTECT: the places whose ports are protected.
# - EXEMPT: the places that need no knock.
# - FILTER: the program that checks codes in the kernel; empty if there is none. `describe_filter` describes it.

QUEUE_RANGES='' SETS='' FILTER='' KEEPING='' ON_FAILURE=drop INSTANCE='' PROTECT='' EXEMPT=''

EX_FAILED=1 EX_DOWN=3 EX_USAGE=64 EX_UNAVAILABLE=69 EX_NOPERM=77 EX_CONFIG=78

# Not the folder of the daemons, which may belong to the user that they run as.
STATE=/run/tcpknock-firewall

# Records that outlive a boot; see `record`. Only root can read them.
RECORDS=/var/lib/tcpknock-firewall

# Not every root shell has sbin in its PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# Prints a command line of this script for the same set of rules.
type_this() { echo "$0 $*${INSTANCE:+ --instance $INSTANCE}"; } # WORD...

die() { # STATUS MESSAGE
    local status="$1"
    shift
    complain "$*"
    exit "$status"
}

# shellcheck source-path=SCRIPTDIR source=options.sh
. "$HERE/options.sh"
# shellcheck source-path=SCRIPTDIR source=tables.sh
. "$HERE/tables.sh"
# shellcheck source-path=SCRIPTDIR source=status.sh
. "$HERE/status.sh"

# --- records -----------------------------------------------------------------------------------------------------
# Files for the next `up`, for when the kernel has lost the rules. Network namespaces other than the first do not
# outlive a boot, and neither do their records.

# True in the network namespace of the host's first process. The obvious name for that, /proc/1/ns/net, can be read only
# by processes that may trace the first one, and the guard may not. But each namespace has its own files below
# /proc/net. If the first process is hidden (ProtectProc=), this tests for the kernel's first namespace, the only one
# with this switch.
is_first_namespace() {
    if [ -e /proc/1/net/dev ]; then
        [ "$(stat -L -c %i /proc/self/net/dev)" = "$(stat -L -c %i /proc/1/net/dev)" ]
    else
        [ -e /proc/sys/net/core/dev_weight ]
    fi
}

records_folder() {
    if [ -n "${TCPKNOCK_FIREWALL_STATE-}" ]; then
        echo "$TCPKNOCK_FIREWALL_STATE"
    elif is_first_namespace; then
        echo "$RECORDS"
    else
        echo "$STATE/records.$(stat -L -c %i /proc/self/ns/net)"
    fi
}

record() { echo "$(records_folder)/$1${INSTANCE:+.$INSTANCE}"; } # NAME

# Writes the standard input to a record, as a whole or not at all.
write_record() { # NAME
    local file
    file=$(record "$1")
    mkdir -p "${file%/*}" && cat >"$file.new" && { sync "$file.new" 2>/dev/null || sync; } &&
        mv -f "$file.new" "$file" && return
    complain "cannot write $file"
}

# --- one at a time -----------------------------------------------------------------------------------------------

lock_file() { echo "$STATE/lock.$(readlink /proc/self/ns/net | tr -dc 0-9)"; }

# Creates a temporary folder, and takes a lock against a second run in the same network namespace.
begin() {
    umask 077
    mkdir -p "$STATE" || die $EX_FAILED "cannot make $STATE; nothing was changed"
    WORK=$(mktemp -d "$STATE/work.XXXXXX") || die $EX_FAILED "cannot make a temporary folder; nothing was changed"
    trap 'rm -rf "$WORK"' EXIT
    trap 'exit 143' TERM
    # The guard takes the lock for each look separately.
    [ "$COMMAND" != guard ] || { trap '' HUP INT PIPE && return; }
    exec 9>"$(lock_file)"
    flock -w 30 9 || die $EX_FAILED "another run of these scripts has been busy for 30 seconds; nothing was changed"
    # From here on the script takes about a second, and must finish rather than stop halfway: the terminal may be an ssh
    # session that the new rules disturb.
    trap '' HUP INT PIPE
}
