# shellcheck shell=sh disable=SC3043
# What server.sh and client.sh share: reading the command line, and putting a set of rules into the kernel
# or taking it out again, whole or not at all. What the rules are is written in those two files.
#
# How it works
# - Each script describes its rules as text, in the syntax of iptables-save (its function `wanted_rules`).
# - One `iptables-restore --noflush` per family and table replaces the rules that are there by the wanted ones.
#   The kernel takes such a change as a whole, so no packet ever meets half a rule set.
# - All rules live in own chains, whose names begin with $OWN. Hooks into built-in chains are put first, so that
#   no other rule can accept a packet before we have seen it.
# - What was asked for is remembered in the kernel itself, as comments in a chain that nothing jumps to
#   ($OWN-NOTE). No file can be out of step with the rules. (Records, below, are of what was.)
#
# A script that sources this sets ROLE (its name for humans), OWN, TABLES, FLAGS (SWITCHES are those without a value)
# and the defaults. QUEUE_RANGES is what its message about a wrong queue says of ranges, empty if it takes none; INSTANCE
# is the name of another server on this host, SETS says that the rules are of an earlier version and match address sets,
# KEEPING that they keep connections from before; PROTECT says whose ports they protect, and
# EXEMPT who needs no knock; FILTER is the program that they ask about codes, empty if none, and
# `describe_filter` describes it.

QUEUE_RANGES='' SETS='' FILTER='' KEEPING='' ON_FAILURE=drop INSTANCE='' PROTECT='' EXEMPT=''

# shellcheck disable=SC2034 # not each script uses each
EX_FAILED=1 EX_DOWN=3 EX_USAGE=64 EX_UNAVAILABLE=69 EX_NOPERM=77 EX_CONFIG=78

# Not the daemons' folder, which may belong to the user that they run as.
STATE=/run/tcpknock-firewall

# What outlives a boot: see `record`. Owned by root alone.
RECORDS=/var/lib/tcpknock-firewall

# sbin is not in the PATH of every shell in which somebody becomes root.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# What people type to have this script, for the same rules, do something else.
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

# A queue number or, where the script takes several queues, FIRST:LAST.
is_queue() { # TEXT
    case $1 in
    *:*) [ -n "$QUEUE_RANGES" ] && is_number "${1%%:*}" 0 65535 && is_number "${1#*:}" "${1%%:*}" 65535 &&
        [ $((${1#*:} - ${1%%:*})) -lt 64 ] ;;
    *) is_number "$1" 0 65535 ;;
    esac
}

# An address, or a prefix. Of IPv6 only the characters are looked at: iptables says what else is wrong, and changes
# nothing then.
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

# Prints MARK in lower-case hexadecimal, if it is one single bit of the 32.
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
        # It becomes part of a rule and of a comment, of which the kernel keeps 255 bytes.
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
    --put-back) PUT_BACK=yes ;; # of the guard: `up`, if that is still wanted
    esac
}

# Sets COMMAND and the options. Checks everything before anything is touched.
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
            # What `up` was asked for, without what belongs to this run alone.
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
    # In order and once each, so that the same ports always give the same rules.
    # shellcheck disable=SC2086 # one port a line
    [ -z "$GIVEN_PORTS" ] || PORTS=$(printf '%s\n' $GIVEN_PORTS | sort -nu | tr '\n' ' ')
    PORTS=${PORTS% }
    # shellcheck disable=SC2086 # words
    [ -z "$GIVEN_PROTECT" ] || PROTECT=$(in_order $GIVEN_PROTECT)
    # shellcheck disable=SC2086 # words
    [ -z "$GIVEN_EXEMPT" ] || EXEMPT=$(in_order $GIVEN_EXEMPT)
}

# Prints words in order and once each, on one line.
in_order() { # WORD...
    printf '%s\n' "$@" | LC_ALL=C sort -u | tr '\n' ' ' | sed 's/ *$//'
}

# Reads the command line and, if it names a program, the flags that this prints for its configuration; what the command
# line says itself comes last and so counts more. False if the program could not say them.
# `up $(tcpknock-server --firewall-flags)` would hide that: with a configuration that cannot be read it is a bare `up`.
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

# The two iptables keep their rules in different places of the kernel and do not see each other's.
system_backend() {
    case $(iptables --version 2>/dev/null) in *nf_tables*) echo nft ;; *) echo legacy ;; esac
}

program() { # FAMILY [save|restore]: the name of the program, for the chosen backend
    local name=iptables
    [ "$1" = 4 ] || name=ip6tables
    # A distribution that has only one of the two may have it under the plain name alone.
    command -v "$name-$BACKEND" >/dev/null && name=$name-$BACKEND
    printf '%s\n' "$name${2:+-$2}"
}

backend_exists() { # BACKEND
    command -v "iptables-$1" >/dev/null || { command -v iptables >/dev/null && [ "$(system_backend)" = "$1" ]; }
}

# Prints the backends in which this script's rules are.
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

# Sets FAMILIES, BACKEND and IN_USE, the backends in which there are rules of ours.
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

# Prints what iptables-save says of a table. It is asked once for each table, until we change that.
saved_table() { # FAMILY TABLE
    local names=/proc/net/ip_tables_names file="$WORK/table.$BACKEND.$1.$2"
    [ "$1" = 4 ] || names=/proc/net/ip6_tables_names
    if [ ! -e "$file" ]; then
        # Only to look at a legacy table brings it into being, and nothing takes it away again. So: look first.
        if [ "$BACKEND" = legacy ] && ! grep -qsx "$2" "$names"; then
            : >"$file"
        else
            "$(program "$1" save)" -t "$2" >"$file" 2>"$WORK/errors" || cp "$WORK/errors" "$(unreadable_file "$1" "$2")"
            # It says so in a comment and with exit status 0, and leaves the whole table out.
            if grep -q '^# Table .* is incompatible' "$file"; then
                sed -n 's/^# //p' "$file" >"$(unreadable_file "$1" "$2")"
                readable_chains "$1" "$2" >"$file"
            fi
        fi
    fi
    cat "$file"
}

# --- tables that iptables-nft cannot read
# One rule of nft's own kind (`fib`, `numgen`, ...) makes iptables-nft refuse to read or save a table as a whole. It
# still reads each chain that has none, so ours, and nft can say what hooks there are, and remove them.

unreadable_file() { echo "$WORK/unreadable.$BACKEND.$1.$2"; } # FAMILY TABLE

is_unreadable() { # FAMILY TABLE
    saved_table "$1" "$2" >/dev/null
    [ -e "$(unreadable_file "$1" "$2")" ]
}

nft_family() { [ "$1" = 4 ] && echo ip || echo ip6; } # FAMILY

# Prints the chains of a table that can be read, as iptables-save has them.
readable_chains() { # FAMILY TABLE
    local chain
    nft list table "$(nft_family "$1")" "$2" 2>/dev/null | awk '$1 == "chain" { print $2 }' | while read -r chain; do
        "$(program "$1")" -w -t "$2" -S "$chain" 2>/dev/null
    done | sed -n -e 's/^-N \(.*\)/:\1 - [0:0]/p' -e '/^-A/p'
}

# Ends `up` before it changes anything, if there is a table that it could not change safely.
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

# Takes our rules out of a table that iptables-nft cannot read: hooks by handle, then our chains, in one transaction.
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
        # Unlike iptables, nft deletes a chain with the rules in it. An empty one is listed in these five lines.
        [ "$(nft list chain "$family" "$table" "$chain" 2>/dev/null | grep -c '')" != 5 ] ||
            nft delete chain "$family" "$table" "$chain" 2>/dev/null
    done
    case " $* " in *" TABLE "*) remove_created "$number" "$table" TABLE ;; esac
}

tables_may_have_changed() { rm -f "$WORK"/table.* "$WORK"/unreadable.*; }
table_has_changed() { rm -f "$WORK/table.$BACKEND.$1.$2" "$(unreadable_file "$1" "$2")"; } # FAMILY TABLE

# Prints what is in the kernel of ours, as iptables-save has it: our chains, their rules, the hooks into them.
own_rules() { # FAMILY TABLE
    saved_table "$1" "$2" | grep -E "^:$OWN-|^-A $OWN-|^-A .* -j $OWN-"
}

# Prints the values that the notes in the kernel hold under NAME.
notes() { # FAMILY TABLE NAME
    own_rules "$1" "$2" | sed -n "s/^-A $OWN-NOTE .*--comment \"\{0,1\}$3=\([^\" ]*\).*/\1/p"
}

note() { printf -- '-A %s-NOTE -m comment --comment %s=%s\n' "$OWN" "$1" "$2"; } # NAME VALUE

# The wanted rules, with the notes that say what was asked for; nothing where there are no rules.
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

# Writes the iptables-restore input that leads from the rules in the one file to those in the other.
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
            for (chain in chains) print ":" chain " - [0:0]"  # makes it, or empties it
            for (i = 1; i <= unhooks; i++) { sub(/^-A/, "-D", unhook[i]); print unhook[i] }
            for (i = 1; i <= count; i++) print rules[i]
            for (i = 1; i <= hook; i++) print hooks[i]
            for (chain in chains) if (!(chain in keep)) print "-X " chain
            print "COMMIT"
        }' "$2" "$3"
}

# Makes our rules in a table exactly those of the file: all of them, or none if the kernel refuses one.
put_rules() { # FAMILY TABLE FILE
    own_rules "$1" "$2" >"$WORK/now"
    transaction "$2" "$WORK/now" "$3" >"$WORK/restore"
    table_has_changed "$1" "$2"
    "$(program "$1" restore)" --noflush -w <"$WORK/restore" 2>"$WORK/errors" && return
    complain "$(program "$1" restore) refused the rules for table $2:"
    grep -v '^# Warning' "$WORK/errors" | sed 's/^/    /' >&2
    return 1
}

# With the nft backend, tables and built-in chains come into being when first used. We note the ones that our `up`
# makes, so that `down` can take them away again; the iptables programs cannot tell us, so it takes nft.
# (The legacy backend can only make tables, never remove them: an empty one stays, and does nothing.)
note_created() { # FAMILY TABLE
    local chain nft_family=ip
    [ "$1" = 4 ] || nft_family=ip6
    if [ -n "$(own_rules "$1" "$2")" ]; then # Already up: what was noted then holds.
        for chain in $(notes "$1" "$2" created); do note created "$chain"; done
        return
    fi
    [ "$BACKEND" = nft ] && command -v nft >/dev/null || return 0
    # What the other script, or another instance, has made is noted here as well: the last of them to go removes it.
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
        # Fails if somebody has rules in it by now, or it does not exist: both are as they should be.
        [ "$chain" = TABLE ] || "$(program "$family")" -w -t "$table" -X "$chain" 2>/dev/null
    done
    case " $* " in *" TABLE "*)
        # Only a table that holds nothing is listed in these two lines.
        [ "$(nft list table "$nft_family" "$table" 2>/dev/null)" = "table $nft_family $table {
}" ] && nft delete table "$nft_family" "$table"
        ;;
    esac
    return 0
}

# Takes our rules out of one table.
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

# Takes our rules out of every backend in which there are any, and looks whether they are gone.
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

# Without nft nothing can be said of a table that iptables-nft cannot read.
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

# Puts the wanted rules into all families and tables, or, if one of them refuses, puts everything back as it was.
put_all() {
    local family table place done_places=''
    for family in $FAMILIES; do
        for table in $TABLES; do
            place=$family.$table
            own_rules "$family" "$table" >"$WORK/before.$place"
            wanted_with_notes "$family" "$table" >"$WORK/wanted.$place"
            # A table in which nothing is wanted is left alone, or cleared with all that was made for it.
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

# --- the state of things -----------------------------------------------------------------------------------------

# Prints the wanted rules that a table does not hold. `wanted_rules` writes them as iptables-save does, but for
# quotation marks, so this compares text, for which it takes no process each. An iptables that writes something
# differently is asked about it; iptables-legacy only where none can be missing by their number, since its -C takes a
# rule for port 443 for one for port 22.
missing_rules() { # FAMILY TABLE
    local rule
    own_rules "$1" "$2" | tr -d '"' >"$WORK/now"
    # $GROWING is the chain whose rules depend on what `up` found.
    wanted_with_notes "$1" "$2" | grep '^-A' | grep -v "^-A ${GROWING:-$OWN-NOTE-NONE} " | tr -d '"' >"$WORK/expected"
    grep -vxF -f "$WORK/now" "$WORK/expected" | while read -r rule; do
        # shellcheck disable=SC2086 # the rule is words without quotes
        if [ "$BACKEND" = nft ] || [ "$(count_own_rules)" -ge "$(grep -c '' "$WORK/expected")" ] &&
            "$(program "$1")" -w -t "$2" -C ${rule#-A } 2>/dev/null; then
            continue
        fi
        printf '%s\n' "$rule"
    done
}

# Prints how many rules of ours `missing_rules` has found, without those that differ from host to host.
count_own_rules() {
    grep -v -e "^-A $OWN-NOTE .*created=" -e "^-A ${GROWING:-$OWN-NOTE-NONE} " "$WORK/now" | grep -c '^-A'
}

# True if a table holds exactly the wanted rules.
table_is_as_wanted() { # FAMILY TABLE
    # Rules more than ours in our chains? (Fewer are found where iptables-nft cannot read a chain with hooks.)
    [ -z "$(missing_rules "$1" "$2")" ] && [ "$(count_own_rules)" -le "$(grep -c '' "$WORK/expected")" ]
}

# False if a rule of another program stands before a hook of ours: it could decide before we do.
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

# After `up`: leaves, if what is there now is not what was put in.
check_result() {
    local family table
    [ "$(state)" != up ] || return 0
    complain "the rules went in, but what is there now is not what was put in; '$(type_this status)' shows it"
    for family in $FAMILIES; do
        for table in $TABLES; do missing_rules "$family" "$table" | sed "s/^/    missing in IPv$family, $table: /" >&2; done
    done
    exit $EX_FAILED
}

# Prints up, down or partial, for the values in PORTS, QUEUE, MARK, SETS and FILTER.
state() {
    local family table any='' all=yes
    for family in $FAMILIES; do
        for table in $TABLES; do
            [ -z "$(own_rules "$family" "$table")" ] || any=yes
            table_is_as_wanted "$family" "$table" || all=''
        done
    done
    if [ -n "$any" ] && [ -n "$all" ]; then echo up; elif [ -n "$any" ]; then echo partial; else echo down; fi
}

# Prints the value that the notes hold under NAME, in whatever family and table.
noted() { # NAME
    local family table value
    for family in $FAMILIES; do
        for table in $TABLES; do
            value=$(notes "$family" "$table" "$1")
            [ -z "$value" ] || { echo "$value" && return; }
        done
    done
}

# Sets PORTS, PROTECT, EXEMPT, QUEUE, MARK, SETS, KEEPING, FILTER and ON_FAILURE to what the rules in the kernel were made for. False if
# there are none.
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

# Prints the netlink port id of the process that is bound to the queue, of the first if there are several; false if
# nobody is bound to one of them.
queue_owner() { # QUEUE
    awk -v first="${1%%:*}" -v last="${1##*:}" '
        $1 + 0 >= first + 0 && $1 + 0 <= last + 0 { count++; if ($1 == first) owner = $2 }
        END { if (count == last - first + 1) print owner; else exit 1 }' /proc/net/netfilter/nfnetlink_queue 2>/dev/null
}

family_names() { [ "$FAMILIES" = 4 ] && echo "IPv4 only" || echo "IPv4 and IPv6"; }

describe() { # what the rules are for, in one line
    echo "TCP port $PORTS$([ "$PROTECT" = own ] || echo "${PROTECT:+ of $PROTECT}")${EXEMPT:+, not from $EXEMPT}, queue $QUEUE${MARK:+, mark $MARK}, $(family_names), iptables-$BACKEND${FILTER:+, kernel filter}$([ "$ON_FAILURE" = drop ] || echo ", refused by RST")"
}

# Prints the words as the values of a JSON array; numbers stay numbers.
json_array() { # TEXT, one value a line
    printf '%s\n' "$1" | awk '
        $0 == "" { next }
        { gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); text = text (text == "" ? "" : ", ") ($0 ~ /^[0-9]+$/ ? $0 : "\"" $0 "\"") }
        END { printf "[%s]", text }'
}

# The same report for programs: one object.
report_json() {
    local state=down missing='' family table
    if read_configuration || [ -n "$IN_USE" ]; then
        state=$(state)
        for family in $FAMILIES; do
            for table in $TABLES; do
                missing="$missing$(missing_rules "$family" "$table" | sed "s/^/IPv$family $table /")
"
            done
        done
    else
        PORTS='' QUEUE='' MARK='' FILTER='' PROTECT='' EXEMPT=''
    fi
    printf '{"state": "%s", "instance": "%s", "ports": %s, "queue": "%s", "mark": "%s", "iptables": "%s", ' \
        "$state" "$INSTANCE" "$(json_array "$(printf '%s' "$PORTS" | tr ' ' '\n')")" "$QUEUE" "$MARK" "$BACKEND"
    printf '"protect": %s, "exempt": %s, "families": %s, "missing": %s, "kernel_filter": "%s", "warnings": %s}\n' \
        "$(json_array "$(printf '%s' "$PROTECT" | tr ' ' '\n')")" \
        "$(json_array "$(printf '%s' "$EXEMPT" | tr ' ' '\n')")" \
        "$(json_array "$(printf '%s' "$FAMILIES" | tr ' ' '\n')")" "$(json_array "$missing")" "${FILTER%:*}" \
        "$(json_array "$(cat "$(record warning)" 2>/dev/null)")"
    case $state in up) exit 0 ;; down) exit $EX_DOWN ;; *) exit $EX_FAILED ;; esac
}

# Prints the report and leaves with its exit status. It changes nothing, so it may end when nobody reads on.
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
    for family in $FAMILIES; do
        for table in $TABLES; do
            echo "  IPv$family, table $table, iptables-$BACKEND"
            if [ -z "$(own_rules "$family" "$table")" ]; then
                [ -z "$(wanted_rules "$family" "$table")" ] || echo "    no rules"
                continue
            fi
            if is_unreadable "$family" "$table"; then
                echo "    somebody else's rules are there that iptables-nft cannot read: 'up' refuses to change this" \
                    "table, 'down' removes ours by nft"
                continue
            fi
            "$(program "$family" save)" -c -t "$table" 2>/dev/null | grep -E -- "-A $OWN-|-j $OWN-" |
                grep -v -- "-A $OWN-NOTE" | awk '{
                    split(substr($1, 2), n, ":"); chain = $3; sub(/^[^ ]+ -A [^ ]+ /, "")
                    printf "    %10s packets  %-18s %s\n", n[1], chain, $0
                }'
        done
    done
    [ "$state" = up ] || exit $EX_FAILED
}

# Says whose ports are protected, and of which family none is.
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
# What the next `up` must know when the kernel knows nothing any more. Other network namespaces than the first do not
# outlive a boot, and neither do their records.

# True in the network namespace of the host's first process. Its own name for that, /proc/1/ns/net, is only for who could
# trace it, and the guard could not; but each namespace has files of its own below /proc/net. Where the first process
# cannot be seen (ProtectProc=), it is the kernel's first namespace, which alone has this switch.
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

# Writes standard input to a record, as a whole or not at all.
write_record() { # NAME
    local file
    file=$(record "$1")
    mkdir -p "${file%/*}" && cat >"$file.new" && { sync "$file.new" 2>/dev/null || sync; } &&
        mv -f "$file.new" "$file" && return
    complain "cannot write $file"
}

# --- one at a time -----------------------------------------------------------------------------------------------

lock_file() { echo "$STATE/lock.$(readlink /proc/self/ns/net | tr -dc 0-9)"; }

# Temporary files, and a lock against a second run in the same network namespace.
begin() {
    umask 077
    mkdir -p "$STATE" || die $EX_FAILED "cannot make $STATE; nothing was changed"
    WORK=$(mktemp -d "$STATE/work.XXXXXX") || die $EX_FAILED "cannot make a temporary folder; nothing was changed"
    trap 'rm -rf "$WORK"' EXIT
    trap 'exit 143' TERM
    # Its looks take the lock one by one.
    [ "$COMMAND" != guard ] || { trap '' HUP INT PIPE && return; }
    exec 9>"$(lock_file)"
    flock -w 30 9 || die $EX_FAILED "another run of these scripts has been busy for 30 seconds; nothing was changed"
    # From here on it takes a second, and is finished rather than left half done: the terminal may well be an ssh
    # session that the new rules disturb.
    trap '' HUP INT PIPE
}
