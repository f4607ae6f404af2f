# shellcheck shell=sh disable=SC3043
# The common part of server.sh and client.sh: it reads the command line, and puts a set of rules into the kernel or
# removes it, always as a whole. The rules themselves are in those two files.
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
# A script that sources this sets ROLE (its name for people), OWN, TABLES, FLAGS, SWITCHES (the flags without a value)
# and the defaults:
# - QUEUE_RANGES: the part about ranges in the message about a wrong queue; empty if ranges are not allowed.
# - INSTANCE: the name of another server on this host.
# - SETS: set if the rules are of an earlier version and match address sets.
# - KEEPING: set if the rules keep earlier connections.
# - PROTECT: the places whose ports are protected.
# - EXEMPT: the places that need no knock.
# - FILTER: the program that checks codes in the kernel; empty if there is none. `describe_filter` describes it.

QUEUE_RANGES='' SETS='' FILTER='' KEEPING='' ON_FAILURE=drop INSTANCE='' PROTECT='' EXEMPT=''

# shellcheck disable=SC2034 # not each script uses each
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

# --- the command line -------------------------------------------------------------------------------------------

is_number() { # TEXT LOWEST HIGHEST
    case $1 in '' | *[!0-9]* | 0?* | ???????????*) return 1 ;; esac
    [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

# True for a queue number or, if the script takes several queues, FIRST:LAST.
is_queue() { # TEXT
    case $1 in
    *:*) [ -n "$QUEUE_RANGES" ] && is_number "${1%%:*}" 0 65535 && is_number "${1#*:}" "${1%%:*}" 65535 &&
        [ $((${1#*:} - ${1%%:*})) -lt 64 ] ;;
    *) is_number "$1" 0 65535 ;;
    esac
}

# True for an address or a prefix. For IPv6 only the characters are checked: iptables reports any other error, and then
# changes nothing.
is_prefix() { # TEXT
    local longest=32 part
    case $1 in '' | *[!0-9A-Fa-f.:/]* | */*/*) return 1 ;; esac
    case ${1%%/*} in
    *:*:*) longest=128 ;;
    *.*.*.*.* | *[!0-9.]*) return 1 ;;
    *.*.*.*)
        part=${1%%/*}.
        while [ -n "$part" ]; do
            is_number "${part%%.*}" 0 255 || return 1
            part=${part#*.}
        done
        ;;
    *) return 1 ;;
    esac
    case $1 in */*) is_number "${1#*/}" 0 $longest ;; esac
}

is_interface() { # TEXT
    case $1 in '' | -* | . | .. | *[!A-Za-z0-9._-]* | ????????????????*) return 1 ;; esac
}

# Prints MARK in lower-case hexadecimal if exactly one of its 32 bits is set; false otherwise.
one_bit() { # MARK
    local digits value
    case $1 in
    0[xX]*)
        digits=${1#0[xX]}
        case $digits in '' | *[!0-9a-fA-F]* | ?????????*) return 1 ;; esac
        ;;
    *) is_number "$1" 1 4294967295 || return 1 ;;
    esac
    value=$(($1))
    [ "$value" -ne 0 ] && [ $((value & (value - 1))) -eq 0 ] && printf '0x%x\n' "$value"
}

set_option() { # FLAG VALUE
    case $1 in
    --target-port)
        is_number "$2" 1 65535 ||
            die $EX_USAGE "--target-port: '$2' is not a TCP port; give a whole number from 1 to 65535"
        GIVEN_PORTS="$GIVEN_PORTS $2"
        ;;
    --queue-num)
        is_queue "$2" ||
            die $EX_USAGE "--queue-num: '$2' is not a queue number; give a whole number from 0 to 65535$QUEUE_RANGES"
        QUEUE=$2
        ;;
    --mark)
        MARK=$(one_bit "$2") ||
            die $EX_USAGE "--mark: '$2' is not one single bit; give one of 0x1, 0x2, 0x4, 0x8, ... 0x80000000"
        ;;
    --on-failure)
        # shellcheck disable=SC2034 # for server.sh
        case $2 in drop | reset) ON_FAILURE=$2 ;; *)
            die $EX_USAGE "--on-failure: '$2' is not known; give drop or reset" ;;
        esac
        ;;
    --protect | --exempt) set_place "$1" "$2" ;;
    --iptables)
        case $2 in auto | nft | legacy) BACKEND=$2 ;; *)
            die $EX_USAGE "--iptables: '$2' is not known; give auto, nft or legacy" ;;
        esac
        ;;
    --kernel-filter)
        # shellcheck disable=SC2034 # for server.sh
        case $2 in auto | on | hook | rule | off) KERNEL_FILTER=$2 ;; *)
            die $EX_USAGE "--kernel-filter: '$2' is not known; give auto, on, hook, rule or off" ;;
        esac
        ;;
    --pin-folder)
        # The path becomes part of a rule, and of a comment, of which the kernel keeps 255 bytes.
        case $2 in *[!A-Za-z0-9/._-]* | [!/]* | '')
            die $EX_USAGE "--pin-folder: '$2' is not an absolute path of letters, digits and the characters / . _ -" ;;
        esac
        [ ${#2} -le 150 ] || die $EX_USAGE "--pin-folder: the path is longer than 150 characters"
        # shellcheck disable=SC2034 # for server.sh
        PIN_FOLDER=${2%/}
        ;;
    --instance) set_instance "$2" ;;
    --flags-from)
        [ -n "$2" ] || die $EX_USAGE "--flags-from: give the program that prints the flags, such as tcpknock-$ROLE"
        FLAGS_FROM=$2
        ;;
    --confirm)
        is_number "$2" 1 86400 ||
            die $EX_USAGE "--confirm: '$2' is not a time in seconds; give a whole number from 1 to 86400"
        CONFIRM=$2
        ;;
    esac
}

# shellcheck disable=SC2034 # most of them are for server.sh
set_switch() { # FLAG, one that takes no value
    case $1 in
    --json) JSON=yes ;;
    --keep-established) KEEP_ESTABLISHED=yes ;;
    --drop-ports) DROP_PORTS=yes ;;
    --report) REPORT=yes ;;
    --tell) TELL=yes ;;
    --put-back) PUT_BACK=yes ;; # from the guard: `up`, if the rules are still wanted
    esac
}

# Sets COMMAND and the options. Checks everything before anything is changed.
parse_command_line() { # COMMANDS ARGUMENT...
    local commands="$1" flag value name
    shift
    COMMAND='' BACKEND=auto CONFIRM='' GIVEN_PORTS='' JSON='' FLAGS_FROM='' GIVEN=''
    KEEP_ESTABLISHED='' DROP_PORTS='' GIVEN_PROTECT='' GIVEN_EXEMPT=''
    REPORT='' TELL='' PUT_BACK=''
    while [ $# -gt 0 ]; do
        flag=$1
        shift
        case $flag in
        -h | --help)
            usage
            exit 0
            ;;
        -*)
            value=''
            case $flag in *=*) value=${flag#*=} ;; esac
            # The underscore spellings work too: --target_port is --target-port.
            name=$(printf '%s\n' "${flag%%=*}" | tr _ -)
            case " $FLAGS $SWITCHES " in *" $name "*) ;; *)
                die $EX_USAGE "unknown flag '${flag%%=*}'; '$0 --help' lists what there is" ;;
            esac
            case " $SWITCHES " in *" $name "*)
                case $flag in *=*) die $EX_USAGE "$name takes no value" ;; esac
                set_switch "$name"
                continue
                ;;
            esac
            case $flag in *=*) ;; *)
                [ $# -gt 0 ] || die $EX_USAGE "$name: a value is missing after it"
                value=$1
                shift
                ;;
            esac
            set_option "$name" "$value"
            # The flags of `up`, without those that matter only to this run.
            case $name in --confirm | --flags-from | --kernel-filter) ;; *) GIVEN="$GIVEN$name $value " ;; esac
            ;;
        *)
            case " $commands " in *" $flag "*) ;; *)
                die $EX_USAGE "unknown command '$flag'; give one of: $commands" ;;
            esac
            [ -z "$COMMAND" ] || die $EX_USAGE "two commands, '$COMMAND' and '$flag'; give one"
            COMMAND=$flag
            ;;
        esac
    done
    [ -n "$COMMAND" ] || die $EX_USAGE "no command; give one of: $commands ('$0 --help' explains them)"
    [ -z "$JSON" ] || [ "$COMMAND" = status ] || die $EX_USAGE "--json goes with 'status', not with '$COMMAND'"
    [ -z "$FLAGS_FROM$KEEP_ESTABLISHED$DROP_PORTS$PUT_BACK" ] || [ "$COMMAND" = up ] ||
        die $EX_USAGE "--flags-from, --keep-established and --drop-ports go with 'up', not with '$COMMAND'"
    [ -z "$REPORT$TELL" ] || [ "$COMMAND" = guard ] ||
        die $EX_USAGE "--report and --tell go with 'guard', not with '$COMMAND'"
    [ -z "$CONFIRM" ] || [ "$COMMAND" = up ] || die $EX_USAGE "--confirm goes with 'up', not with '$COMMAND'"
    # Sorted and without duplicates, so that the same ports always give the same rules.
    # shellcheck disable=SC2086 # one port a line
    [ -z "$GIVEN_PORTS" ] || PORTS=$(printf '%s\n' $GIVEN_PORTS | sort -nu | tr '\n' ' ')
    PORTS=${PORTS% }
    # shellcheck disable=SC2086 # words
    [ -z "$GIVEN_PROTECT" ] || PROTECT=$(in_order $GIVEN_PROTECT)
    # shellcheck disable=SC2086 # words
    [ -z "$GIVEN_EXEMPT" ] || EXEMPT=$(in_order $GIVEN_EXEMPT)
}

# Prints words sorted and without duplicates, on one line.
in_order() { # WORD...
    printf '%s\n' "$@" | LC_ALL=C sort -u | tr '\n' ' ' | sed 's/ *$//'
}

# Reads the command line and, if it names a program, the flags that the program prints for its configuration. Flags on
# the command line come last and so override those. False if the program failed. `up $(tcpknock-server
# --firewall-flags)` would hide a failure: if the configuration cannot be read, it is just `up`.
read_command_line() { # COMMANDS ARGUMENT...
    local commands="$1" printed
    shift
    parse_command_line "$commands" "$@"
    [ -n "$FLAGS_FROM" ] || return 0
    # shellcheck disable=SC2086 # a program and its arguments
    printed=$($FLAGS_FROM --firewall-flags) || return
    case $printed in *--target-port*) ;; *) return 1 ;; esac
    # shellcheck disable=SC2086 # flags are words
    parse_command_line "$commands" $printed "$@"
}

require_root() {
    [ "$(id -u)" -eq 0 ] || die $EX_NOPERM "must run as root, to change firewall rules; nothing was changed"
}

require_tools() { # TOOL PACKAGE...
    while [ $# -gt 0 ]; do
        command -v "$1" >/dev/null ||
            die $EX_UNAVAILABLE "the program '$1' is missing; install it (Debian package: $2); nothing was changed"
        shift 2
    done
}

# --- which iptables ----------------------------------------------------------------------------------------------

# Prints the kind of the plain iptables. The two kinds keep their rules in different places in the kernel, and neither
# sees the other's.
system_backend() {
    case $(iptables --version 2>/dev/null) in *nf_tables*) echo nft ;; *) echo legacy ;; esac
}

program() { # FAMILY [save|restore]: prints the name of the program for the chosen backend
    local name=iptables
    [ "$1" = 4 ] || name=ip6tables
    # A distribution with only one of the two may install it under the plain name alone.
    command -v "$name-$BACKEND" >/dev/null && name=$name-$BACKEND
    printf '%s\n' "$name${2:+-$2}"
}

backend_exists() { # BACKEND
    command -v "iptables-$1" >/dev/null || { command -v iptables >/dev/null && [ "$(system_backend)" = "$1" ]; }
}

# Prints the backends that have rules of this script.
backends_with_rules() {
    local BACKEND family table
    for BACKEND in nft legacy; do
        backend_exists "$BACKEND" || continue
        for family in $FAMILIES; do
            for table in $TABLES; do
                [ -n "$(own_rules "$family" "$table")" ] && printf '%s ' "$BACKEND" && continue 3
            done
        done
    done
}

# Sets FAMILIES, BACKEND, and IN_USE, the backends that have rules of ours.
choose_backend() {
    local family
    FAMILIES='4 6'
    if ! [ -e /proc/net/if_inet6 ]; then
        FAMILIES=4
        [ "$COMMAND" != up ] || echo "note: this kernel runs without IPv6, so there are rules for IPv4 only"
    fi
    backend_exists nft || backend_exists legacy ||
        die $EX_UNAVAILABLE "the program 'iptables' is missing; install it (Debian package: iptables)"
    require_nft_for_unreadable
    IN_USE=$(backends_with_rules)
    if [ "$BACKEND" = auto ]; then
        BACKEND=${IN_USE%% *}
        BACKEND=${BACKEND:-$(system_backend)}
    elif ! backend_exists "$BACKEND"; then
        die $EX_UNAVAILABLE "--iptables $BACKEND: there is no iptables-$BACKEND here; nothing was changed"
    else
        if [ "$COMMAND" = up ] && [ -n "$IN_USE" ] && [ "$IN_USE" != "$BACKEND " ]; then
            die $EX_FAILED "the rules are already up in iptables-${IN_USE% }; run '$(type_this down)' first, or leave" \
                "out --iptables; nothing was changed"
        fi
        case " $IN_USE" in *" $BACKEND "*) IN_USE=$BACKEND ;; *) IN_USE='' ;; esac
    fi
    for family in $FAMILIES; do
        require_tools "$(program "$family" restore)" iptables "$(program "$family" save)" iptables
    done
}

# --- rules in the kernel -----------------------------------------------------------------------------------------

# Prints a table as iptables-save does. The result is cached until we change the table.
saved_table() { # FAMILY TABLE
    local names=/proc/net/ip_tables_names file="$WORK/table.$BACKEND.$1.$2"
    [ "$1" = 4 ] || names=/proc/net/ip6_tables_names
    if [ ! -e "$file" ]; then
        # Listing a legacy table creates it, and nothing removes it again. So check first whether it exists.
        if [ "$BACKEND" = legacy ] && ! grep -qsx "$2" "$names"; then
            : >"$file"
        else
            "$(program "$1" save)" -t "$2" >"$file" 2>"$WORK/errors" || cp "$WORK/errors" "$(unreadable_file "$1" "$2")"
            # iptables-nft reports such a table in a comment, with exit status 0, and leaves out the whole table.
            if grep -q '^# Table .* is incompatible' "$file"; then
                sed -n 's/^# //p' "$file" >"$(unreadable_file "$1" "$2")"
                readable_chains "$1" "$2" >"$file"
            fi
        fi
    fi
    cat "$file"
}

# --- tables that iptables-nft cannot read
# One native nft rule (`fib`, `numgen`, ...) makes iptables-nft refuse to read or save the whole table. It can still
# read each chain without such a rule, so ours too, and nft can list and delete the hooks.

unreadable_file() { echo "$WORK/unreadable.$BACKEND.$1.$2"; } # FAMILY TABLE

is_unreadable() { # FAMILY TABLE
    saved_table "$1" "$2" >/dev/null
    [ -e "$(unreadable_file "$1" "$2")" ]
}

nft_family() { [ "$1" = 4 ] && echo ip || echo ip6; } # FAMILY

# Prints the readable chains of a table, in the format of iptables-save.
readable_chains() { # FAMILY TABLE
    local chain
    nft list table "$(nft_family "$1")" "$2" 2>/dev/null | awk '$1 == "chain" { print $2 }' | while read -r chain; do
        "$(program "$1")" -w -t "$2" -S "$chain" 2>/dev/null
    done | sed -n -e 's/^-N \(.*\)/:\1 - [0:0]/p' -e '/^-A/p'
}

# Ends `up` before it changes anything if there is a table that it could not change safely.
refuse_unreadable() {
    local family table
    for family in $FAMILIES; do
        for table in $TABLES; do
            is_unreadable "$family" "$table" || continue
            die $EX_FAILED "IPv$family, table $table cannot be read by iptables-$BACKEND:" \
                "$(tr '\n' ' ' <"$(unreadable_file "$family" "$table")"); it holds rules of another program." \
                "'nft list table $(nft_family "$family") $table' shows them; move those that are not of iptables into" \
                "a table of another name, or add --iptables legacy; nothing was changed"
        done
    done
}

# Removes our rules from a table that iptables-nft cannot read: the hooks by handle, then our chains, in one
# transaction.
clear_unreadable_table() { # FAMILY TABLE CREATED...
    local family chain table="$2" number="$1"
    family=$(nft_family "$1")
    shift 2
    if ! nft -a list table "$family" "$table" 2>"$WORK/errors" | awk -v own="$OWN-" -v where="$family $table" '
        $1 == "chain" { chain = $2; if (index(chain, own) == 1) chains[++count] = chain; next }
        index(chain, own) == 1 { next }
        { for (i = 1; i < NF; i++) if (($i == "jump" || $i == "goto") && index($(i + 1), own) == 1)
            print "delete rule " where " " chain " handle " $NF }
        END {
            for (i = 1; i <= count; i++) print "flush chain " where " " chains[i]
            for (i = 1; i <= count; i++) print "delete chain " where " " chains[i]
        }' >"$WORK/removal" || ! nft -f "$WORK/removal" 2>"$WORK/errors"; then
        complain "could not take the rules out of IPv$number, table $table, with nft:"
        sed 's/^/    /' "$WORK/errors" >&2
        return 1
    fi
    table_has_changed "$number" "$table"
    for chain; do
        [ "$chain" != TABLE ] || continue
        # Unlike iptables, nft deletes a chain together with its rules. The listing of an empty chain has five lines.
        [ "$(nft list chain "$family" "$table" "$chain" 2>/dev/null | grep -c '')" != 5 ] ||
            nft delete chain "$family" "$table" "$chain" 2>/dev/null
    done
    case " $* " in *" TABLE "*) remove_created "$number" "$table" TABLE ;; esac
}

tables_may_have_changed() { rm -f "$WORK"/table.* "$WORK"/unreadable.*; }
table_has_changed() { rm -f "$WORK/table.$BACKEND.$1.$2" "$(unreadable_file "$1" "$2")"; } # FAMILY TABLE

# Prints our rules in the kernel in the format of iptables-save: our chains, their rules, and the hooks into them.
own_rules() { # FAMILY TABLE
    saved_table "$1" "$2" | grep -E "^:$OWN-|^-A $OWN-|^-A .* -j $OWN-"
}

# Prints the values of the notes in the kernel that are called NAME.
notes() { # FAMILY TABLE NAME
    own_rules "$1" "$2" | sed -n "s/^-A $OWN-NOTE .*--comment \"\{0,1\}$3=\([^\" ]*\).*/\1/p"
}

note() { printf -- '-A %s-NOTE -m comment --comment %s=%s\n' "$OWN" "$1" "$2"; } # NAME VALUE

# Prints the wanted rules, with notes of the requested values; prints nothing if there are no rules.
wanted_with_notes() { # FAMILY TABLE
    local port place rules
    rules=$(wanted_rules "$1" "$2")
    [ -n "$rules" ] || return 0
    printf '%s\n' "$rules"
    for port in $PORTS; do note target-port "$port"; done
    for place in $PROTECT; do note protect "$place"; done
    for place in $EXEMPT; do note exempt "$place"; done
    note queue-num "$QUEUE"
    [ -z "$SETS" ] || note sets "$SETS"
    [ -z "$KEEPING" ] || note keeping "$KEEPING"
    [ -z "$MARK" ] || note mark "$MARK"
    [ -z "$FILTER" ] || note kernel-filter "$FILTER"
    [ "$ON_FAILURE" = drop ] || note on-failure "$ON_FAILURE"
}

# Prints the iptables-restore input that turns the rules in file NOW into those in file WANTED.
transaction() { # TABLE NOW WANTED
    awk -v table="$1" -v own="$OWN-" -v now="$2" '
        FILENAME == now && /^-A/ && index($2, own) != 1 { unhook[++unhooks] = $0 }
        FILENAME == now && /^:/ { chains[substr($1, 2)] = 1 }
        FILENAME == now { next }
        /^:/ { chains[substr($1, 2)] = keep[substr($1, 2)] = 1; next }
        index($2, own) == 1 { chains[$2] = keep[$2] = 1; rules[++count] = $0; next }
        { where = $2; sub(/^-A [^ ]+ /, ""); hooks[++hook] = "-I " where " " (++place[where]) " " $0 }
        END {
            print "*" table
            for (chain in chains) print ":" chain " - [0:0]"  # creates it, or empties it
            for (i = 1; i <= unhooks; i++) { sub(/^-A/, "-D", unhook[i]); print unhook[i] }
            for (i = 1; i <= count; i++) print rules[i]
            for (i = 1; i <= hook; i++) print hooks[i]
            for (chain in chains) if (!(chain in keep)) print "-X " chain
            print "COMMIT"
        }' "$2" "$3"
}

# Replaces our rules in a table with those in the file: all of them, or none if the kernel refuses one.
put_rules() { # FAMILY TABLE FILE
    own_rules "$1" "$2" >"$WORK/now"
    transaction "$2" "$WORK/now" "$3" >"$WORK/restore"
    table_has_changed "$1" "$2"
    "$(program "$1" restore)" --noflush -w <"$WORK/restore" 2>"$WORK/errors" && return
    complain "$(program "$1" restore) refused the rules for table $2:"
    grep -v '^# Warning' "$WORK/errors" | sed 's/^/    /' >&2
    return 1
}

# Prints notes of what `up` is about to create. With the nft backend, tables and built-in chains are created on first
# use, and `down` removes those that `up` created. The iptables programs cannot list them, so this takes nft. (The
# legacy backend can create tables but never remove them: an empty one stays, and does nothing.)
note_created() { # FAMILY TABLE
    local chain nft_family=ip
    [ "$1" = 4 ] || nft_family=ip6
    if [ -n "$(own_rules "$1" "$2")" ]; then # already up: the earlier notes still hold
        for chain in $(notes "$1" "$2" created); do note created "$chain"; done
        return
    fi
    [ "$BACKEND" = nft ] && command -v nft >/dev/null || return 0
    # Copy the notes of the other script and of other instances: the last one to go removes what they created.
    saved_table "$1" "$2" |
        sed -n "s/^-A TCPKNOCK-[A-Za-z0-9_-]*-NOTE \(.*created=.*\)/-A $OWN-NOTE \1/p"
    nft list chains "$nft_family" 2>/dev/null | awk -v table="$2" -v note="-A $OWN-NOTE -m comment --comment created=" '
        $1 == "table" { there = $3 == table; if (there) found = 1 }
        there && $1 == "chain" { have[$2] = 1 }
        END {
            if (!found) print note "TABLE"
            n = split(table == "raw" ? "PREROUTING OUTPUT" : "PREROUTING INPUT FORWARD OUTPUT POSTROUTING", all, " ")
            for (i = 1; i <= n; i++) if (!(all[i] in have)) print note all[i]
        }'
}

remove_created() { # FAMILY TABLE CREATED...
    local family="$1" table="$2" chain nft_family=ip
    [ "$1" = 4 ] || nft_family=ip6
    shift 2
    table_has_changed "$family" "$table"
    for chain; do
        # This fails if the chain has rules of others by now, or does not exist; both are fine.
        [ "$chain" = TABLE ] || "$(program "$family")" -w -t "$table" -X "$chain" 2>/dev/null
    done
    case " $* " in *" TABLE "*)
        # The listing of an empty table is exactly these two lines.
        [ "$(nft list table "$nft_family" "$table" 2>/dev/null)" = "table $nft_family $table {
}" ] && nft delete table "$nft_family" "$table"
        ;;
    esac
    return 0
}

# Removes our rules from a table.
clear_table() { # FAMILY TABLE
    local created
    [ -n "$(own_rules "$1" "$2")" ] || return 0
    created=$(notes "$1" "$2" created)
    if is_unreadable "$1" "$2"; then
        # shellcheck disable=SC2086 # a list of chain names
        clear_unreadable_table "$1" "$2" $created
        return
    fi
    put_rules "$1" "$2" /dev/null || return
    # shellcheck disable=SC2086 # a list of chain names
    remove_created "$1" "$2" $created
}

# Removes our rules from every backend that has any, and checks that they are gone.
take_down() {
    local BACKEND family table failed=0
    for BACKEND in $IN_USE; do
        for family in $FAMILIES; do
            for table in $TABLES; do
                clear_table "$family" "$table" || failed=1
                table_has_changed "$family" "$table"
                [ -n "$(own_rules "$family" "$table")" ] || continue
                complain "there are still rules of $OWN in IPv$family, table $table, iptables-$BACKEND"
                failed=1
            done
        done
    done
    return $failed
}

# Without nft, a table that iptables-nft cannot read cannot be examined.
require_nft_for_unreadable() {
    local BACKEND=nft family table
    backend_exists nft && ! command -v nft >/dev/null || return 0
    for family in $FAMILIES; do
        for table in $TABLES; do
            ! is_unreadable "$family" "$table" || die $EX_UNAVAILABLE "IPv$family, table $table cannot be read by" \
                "iptables-nft, and the program 'nft' is missing; install it (Debian package: nftables);" \
                "nothing was changed"
        done
    done
}

# Puts the wanted rules into all families and tables. If one is refused, puts everything back as it was.
put_all() {
    local family table place done_places=''
    for family in $FAMILIES; do
        for table in $TABLES; do
            place=$family.$table
            own_rules "$family" "$table" >"$WORK/before.$place"
            wanted_with_notes "$family" "$table" >"$WORK/wanted.$place"
            # A table that should have no rules of ours is left alone, or cleared of everything that was created for it.
            if [ ! -s "$WORK/wanted.$place" ] && clear_table "$family" "$table"; then
                done_places="$place $done_places"
                continue
            fi
            note_created "$family" "$table" >>"$WORK/wanted.$place"
            if put_rules "$family" "$table" "$WORK/wanted.$place"; then
                done_places="$place $done_places"
                continue
            fi
            for place in $done_places; do
                if [ -s "$WORK/before.$place" ]; then
                    put_rules "${place%%.*}" "${place#*.}" "$WORK/before.$place"
                else
                    clear_table "${place%%.*}" "${place#*.}"
                fi || die $EX_FAILED "could not undo the change in IPv${place%%.*}, table ${place#*.};" \
                    "run '$(type_this down)'"
            done
            complain "the rules for IPv$family did not go in, so everything is as it was before"
            return 1
        done
    done
}

# --- the state of the rules --------------------------------------------------------------------------------------

# Compares our rules in a table with the wanted ones. Fills $WORK/missing with those that are not there, or not in their
# order, and $WORK/unexpected with those that should not be there. True if both are empty. `wanted_rules` writes rules as
# iptables-save does, except for quotation marks, so this compares text and needs no process for each rule.
compare_rules() { # FAMILY TABLE
    local rule chain
    # $GROWING is the chain whose rules depend on the connections that `up` found.
    own_rules "$1" "$2" | grep '^-A' |
        grep -v -e "^-A $OWN-NOTE .*created=" -e "^-A ${GROWING:-$OWN-NOTE-NONE} " >"$WORK/present"
    wanted_with_notes "$1" "$2" | grep '^-A' | grep -v "^-A ${GROWING:-$OWN-NOTE-NONE} " >"$WORK/expected"
    : >"$WORK/absent" && : >"$WORK/missing"
    awk -v absent="$WORK/absent" -v missing="$WORK/missing" '
        { text = $0; gsub(/"/, ""); chain = $2 }
        FILENAME == ARGV[1] {
            size[chain]++; place[++total] = chain SUBSEP size[chain]
            rule[place[total]] = $0; original[total] = text; is_there[$0] = 1
            next
        }
        {
            for (i = last[chain] + 1; i <= size[chain] && rule[chain, i] != $0; i++) continue
            if (i <= size[chain]) { last[chain] = i; is_wanted[chain, i] = 1 }
            else if ($0 in is_there) print text >missing
            else print text >absent
        }
        END { for (i = 1; i <= total; i++) if (!(place[i] in is_wanted)) print original[i] }
    ' "$WORK/present" "$WORK/expected" >"$WORK/unexpected"
    # What is absent may be what is unexpected, in the words of another version of iptables; or in a chain that
    # iptables-nft cannot list. So iptables itself is asked.
    while read -r rule; do
        chain=${rule#-A } chain=${chain%% *}
        # shellcheck disable=SC2086 # the rule is words without quotes
        if { grep -q -- "^-A $chain " "$WORK/unexpected" || is_unreadable "$1" "$2"; } &&
            "$(program "$1")" -w -t "$2" -C ${rule#-A } 2>/dev/null; then
            awk -v chain="$chain" '$2 != chain || found++' "$WORK/unexpected" >"$WORK/rest"
            mv "$WORK/rest" "$WORK/unexpected"
        else
            printf '%s\n' "$rule" >>"$WORK/missing"
        fi
    done <"$WORK/absent"
    [ ! -s "$WORK/missing" ] && [ ! -s "$WORK/unexpected" ]
}

# False if a rule of another program comes before a hook of ours, and so could decide before we do.
hooks_are_first() {
    local family table
    for family in $FAMILIES; do
        for table in $TABLES; do
            saved_table "$family" "$table" | awk -v own="$OWN-" '
                /^-A/ && index($2, "TCPKNOCK-") != 1 {
                    target = ""
                    for (i = 3; i < NF; i++) if ($i == "-j" || $i == "-g") target = $(i + 1)
                    if (index(target, "TCPKNOCK-") != 1) others[$2] = 1
                    else if (index(target, own) == 1 && ($2 in others)) exit found = 1
                }
                END { exit found }' || return 1
        done
    done
}

# Checks the result of `up`: exits if the rules in the kernel are not the wanted ones.
check_result() {
    local family table
    [ "$(state)" != up ] || return 0
    complain "the rules went in, but what is there now is not what was put in; '$(type_this status)' shows it"
    for family in $FAMILIES; do
        for table in $TABLES; do
            compare_rules "$family" "$table" || sed "s/^/    missing in IPv$family, $table: /" "$WORK/missing" >&2
        done
    done
    exit $EX_FAILED
}

# Prints up, down or partial, for the present values of PORTS, QUEUE, MARK and so on.
state() {
    local family table any='' all=yes
    for family in $FAMILIES; do
        for table in $TABLES; do
            [ -z "$(own_rules "$family" "$table")" ] || any=yes
            compare_rules "$family" "$table" || all=''
        done
    done
    if [ -n "$any" ] && [ -n "$all" ]; then echo up; elif [ -n "$any" ]; then echo partial; else echo down; fi
}

# Prints the value of the notes called NAME, from the first family and table that has one.
noted() { # NAME
    local family table value
    for family in $FAMILIES; do
        for table in $TABLES; do
            value=$(notes "$family" "$table" "$1")
            [ -z "$value" ] || { echo "$value" && return; }
        done
    done
}

# Sets PORTS, PROTECT, EXEMPT, QUEUE, MARK, SETS, KEEPING, FILTER and ON_FAILURE to the values that the rules in the
# kernel were made with. False if there are no rules.
read_configuration() {
    local family table
    for family in $FAMILIES; do
        for table in $TABLES; do
            [ -n "$(notes "$family" "$table" queue-num)" ] || continue
            PORTS=$(notes "$family" "$table" target-port | tr '\n' ' ')
            PORTS=${PORTS% }
            # shellcheck disable=SC2046 # words
            PROTECT=$(in_order $(notes "$family" "$table" protect))
            # shellcheck disable=SC2046 # words
            EXEMPT=$(in_order $(notes "$family" "$table" exempt))
            QUEUE=$(notes "$family" "$table" queue-num)
            MARK=$(notes "$family" "$table" mark)
            SETS=$(notes "$family" "$table" sets)
            KEEPING=$(notes "$family" "$table" keeping)
            FILTER=$(notes "$family" "$table" kernel-filter)
            ON_FAILURE=$(notes "$family" "$table" on-failure)
            ON_FAILURE=${ON_FAILURE:-drop}
            return 0
        done
    done
    return 1
}

# The values of rules that are not there.
forget_values() { PORTS='' QUEUE='' MARK='' FILTER='' PROTECT='' EXEMPT=''; }

# Prints the netlink port id of the process that is bound to the queue, or to the first of several; false if nobody is
# bound to one of them.
queue_owner() { # QUEUE
    awk -v first="${1%%:*}" -v last="${1##*:}" '
        $1 + 0 >= first + 0 && $1 + 0 <= last + 0 { count++; if ($1 == first) owner = $2 }
        END { if (count == last - first + 1) print owner; else exit 1 }' /proc/net/netfilter/nfnetlink_queue 2>/dev/null
}

family_names() { [ "$FAMILIES" = 4 ] && echo "IPv4 only" || echo "IPv4 and IPv6"; }

describe() { # prints a one-line summary of the rules
    echo "TCP port $PORTS$([ "$PROTECT" = own ] || echo "${PROTECT:+ of $PROTECT}")${EXEMPT:+, not from $EXEMPT}, queue $QUEUE${MARK:+, mark $MARK}, $(family_names), iptables-$BACKEND${FILTER:+, kernel filter}$([ "$ON_FAILURE" = drop ] || echo ", refused by RST")"
}

# Prints a JSON array of the lines of the input. Of any kind, numbers stay numbers.
json_array() { # text|any
    awk -v kind="$1" '
        $0 == "" { next }
        kind == "text" || !/^(0|[1-9][0-9]*)$/ { gsub(/[\001-\037\177]/, "?"); gsub(/[\\"]/, "\\\\&"); $0 = "\"" $0 "\"" }
        { text = text (text == "" ? "" : ", ") $0 }
        END { printf "[%s]", text }'
}

json_list() { printf '%s\n' "$@" | json_array any; } # VALUE...

# Prints the state of the rules as a JSON object on one line: see docs/FIREWALLS.md. The rules of others are judged for
# the given values. `--report`, for the guard, leaves out the lists of rules, and of the rules of others all but those
# that lead past the knock.
print_json() { # STATE WANTED PORTS QUEUE MARK PROTECT
    local family table list
    # shellcheck disable=SC2086 # lists of words
    {
        printf '{"role": "%s", "state": "%s", "instance": "%s", ' "$ROLE" "$1" "$INSTANCE"
        printf '"ports": %s, "queue": "%s", "mark": "%s", ' "$(json_list $PORTS)" "$QUEUE" "$MARK"
        printf '"protect": %s, "exempt": %s, ' "$(json_list $PROTECT)" "$(json_list $EXEMPT)"
        printf '"on_failure": "%s", "kernel_filter": "%s", "kernel_filter_inode": %s, ' "$ON_FAILURE" "${FILTER%:*}" \
            "$(is_number "${FILTER##*:}" 0 4294967295 && echo "${FILTER##*:}" || echo null)"
        printf '"iptables": "%s", "iptables_in_use": %s, ' "$BACKEND" "$(json_list $IN_USE)"
        printf '"families": %s, ' "$(json_list $FAMILIES)"
        more_json "$1" "$2" "$4"
        if [ -z "$REPORT" ]; then
            for family in $FAMILIES; do
                for table in $TABLES; do
                    [ -n "$PORTS$IN_USE" ] || continue
                    compare_rules "$family" "$table"
                    for list in expected present missing unexpected; do
                        sed "s/^/$list IPv$family $table /" "$WORK/$list"
                    done
                done
            done >"$WORK/lists"
            for list in expected present missing unexpected; do
                printf '"%s": %s, ' "$list" "$(sed -n "s/^$list //p" "$WORK/lists" | json_array text)"
            done
        fi
        foreign_rules json "$3" "$4" "$5" "$6" >"$WORK/foreign"
        printf '"foreign": [%s], "unread": %s, ' "$(paste -s -d , "$WORK/foreign")" "$(json_array text <"$WORK/unread")"
        printf '"warnings": %s}\n' "$(sed '' "$(record warning)" 2>/dev/null | json_array text)"
    }
}

# Prints the rules of other programs that get in the way of ours, as foreign.awk does, which says in what form. Fills
# $WORK/unread with what could not be looked at.
foreign_rules() { # json|text PORTS QUEUE MARK PROTECT
    local form="$1" ports="$2" queue="$3" mark="$4" protect="$5" BACKEND family file names
    set --
    : >"$WORK/unread"
    for family in $FAMILIES; do
        for BACKEND in nft legacy; do
            names=/proc/net/ip_tables_names
            [ "$family" = 4 ] || names=/proc/net/ip6_tables_names
            # Listing a legacy table creates it. iptables-legacy-save lists only those in this file.
            [ "$BACKEND" = nft ] || grep -qs . "$names" || continue
            file=$WORK/every.$BACKEND.$family
            save_all_tables "$family" >"$file" || continue
            set -- "$@" kind=iptables "family=$family" "backend=$BACKEND" "program=$(program "$family")" "$file"
        done
    done
    ! nft -a list ruleset >"$WORK/every.nft" 2>/dev/null || set -- "$@" kind=nft "$WORK/every.nft"
    LC_ALL=C awk -v form="$form" -v only="${REPORT:+bypass}" -v role="$ROLE" -v own="$OWN-" -v ports="$ports" \
        -v queue="$queue" -v mark="$mark" -v gateway="$([ "$protect" = own ] || echo yes)" \
        -f "$HERE/foreign.awk" "$@" </dev/null
}

# Prints all tables of a family as iptables-save does; false, with a line in $WORK/unread, if it cannot.
save_all_tables() { # FAMILY
    local name
    name=$([ "$1" = 4 ] || echo 6)
    name=ip${name}tables-$BACKEND
    if ! backend_exists "$BACKEND" || ! command -v "$(program "$1" save)" >/dev/null; then
        [ "$BACKEND" = legacy ] || echo "$name: the program is missing (Debian package: iptables)" >>"$WORK/unread"
        return 1
    fi
    "$(program "$1" save)" 2>"$WORK/errors" && return
    echo "$name: $(tail -n 1 "$WORK/errors")" >>"$WORK/unread"
    return 1
}

# Prints the status as a JSON object, and exits with its exit status. If ports are given, the rules of others are judged
# for the given values, else for those that our rules were made with.
report_json() {
    local state=down ports="$PORTS" queue="$QUEUE" mark="$MARK" protect="$PROTECT"
    if read_configuration || [ -n "$IN_USE" ]; then
        state=$(state)
        [ -n "$GIVEN_PORTS" ] || ports=$PORTS queue=$QUEUE mark=$MARK protect=$PROTECT
    else
        forget_values
    fi
    print_json "$state" '' "$ports" "$queue" "$mark" "$protect"
    case $state in up) exit 0 ;; down) exit $EX_DOWN ;; *) exit $EX_FAILED ;; esac
}

# Prints the status and exits with its exit status. It changes nothing, so it may end when its reader does.
show_status() {
    (
        trap - PIPE
        [ -z "$JSON" ] || report_json
        report_status
    )
    exit $?
}

report_status() {
    local state family table
    if ! read_configuration && [ -z "$IN_USE" ]; then
        echo "tcpknock $ROLE rules${INSTANCE:+ of $INSTANCE}: down"
        exit $EX_DOWN
    fi
    state=$(state)
    if [ "$state" = up ]; then
        echo "tcpknock $ROLE rules${INSTANCE:+ of $INSTANCE}: up"
    else
        echo "tcpknock $ROLE rules${INSTANCE:+ of $INSTANCE}: PARTIAL: some are missing or were changed; 'up' puts them right, 'down' removes them"
    fi
    [ ! -s "$(record warning)" ] || sed 's/^/  WARNING      /' "$(record warning)"
    echo "  target port  $PORTS"
    [ -z "$PROTECT" ] || describe_places
    [ -z "$EXEMPT" ] || echo "  exempt       $(printf '%s' "$EXEMPT" | sed 's/ /, /g')"
    if owner=$(queue_owner "$QUEUE"); then
        echo "  queue        $QUEUE, a process listens to it (netlink port id $owner)"
    else
        echo "  queue        $QUEUE, NO process listens to it: $WITHOUT_DAEMON"
    fi
    [ -z "$MARK" ] || echo "  mark         $MARK"
    [ "$ON_FAILURE" = drop ] || echo "  refused      by a RST of tcpknock-server"
    [ -z "$FILTER" ] || describe_filter
    foreign_rules text "$PORTS" "$QUEUE" "$MARK" "$PROTECT" | sed 's/^/  WARNING      /'
    sed 's/^/  NOT READ     /' "$WORK/unread"
    for family in $FAMILIES; do
        for table in $TABLES; do
            echo "  IPv$family, table $table, iptables-$BACKEND"
            if [ -z "$(own_rules "$family" "$table")" ]; then
                [ -z "$(wanted_rules "$family" "$table")" ] || echo "    no rules"
                continue
            fi
            compare_rules "$family" "$table" || {
                sed 's/^/    MISSING     /' "$WORK/missing"
                sed 's/^/    NOT OURS    /' "$WORK/unexpected" | tr '\001-\010\013-\037\177' '?'
            }
            if is_unreadable "$family" "$table"; then
                echo "    somebody else's rules are there that iptables-nft cannot read: 'up' refuses to change this" \
                    "table, 'down' removes ours by nft"
                continue
            fi
            "$(program "$family" save)" -c -t "$table" 2>/dev/null | grep -E -- "-A $OWN-|-j $OWN-" |
                grep -v -- "-A $OWN-NOTE" | awk '{
                    split(substr($1, 2), n, ":"); chain = $3; sub(/^[^ ]+ -A [^ ]+ /, "")
                    printf "    %10s packets  %-18s %s\n", n[1], chain, $0
                }' | tr '\001-\010\013-\037\177' '?'
        done
    done
    [ "$state" = up ] || exit $EX_FAILED
}

# Prints the places whose ports are protected, and any family of which there is none.
describe_places() {
    local family place some
    echo "  protects     $(printf '%s' "$PROTECT" | sed 's/ /, /g')"
    for family in $FAMILIES; do
        some=''
        for place in $PROTECT; do ! match_of "$family" "$place" -d -i >/dev/null || some=yes; done
        [ -n "$some" ] || echo "               NOTHING of IPv$family: no place of that family is named"
    done
}

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
