# shellcheck shell=dash
# What the rules in the kernel are, what they should be, and what of others is in the way: part of common.sh.

# Compares our rules in a table with the wanted ones. Writes $WORK/expected.FAMILY.TABLE and $WORK/present.FAMILY.TABLE, to
# $WORK/missing.FAMILY.TABLE those that are not there, or not in their order, and to $WORK/unexpected.FAMILY.TABLE those
# that should not be there. True if the last two are empty. `wanted_rules` writes rules as iptables-save does, except for
# quotation marks, so this compares text and needs no process for each rule.
compare_rules() { # FAMILY TABLE
    local place="$1.$2" rule chain
    # $GROWING is the chain whose rules depend on the connections that `up` found.
    own_rules "$1" "$2" | grep '^-A' |
        grep -v -e "^-A $OWN-NOTE .*created=" -e "^-A ${GROWING:-$OWN-NOTE-NONE} " >"$WORK/present.$place"
    wanted_with_notes "$1" "$2" | grep '^-A' | grep -v "^-A ${GROWING:-$OWN-NOTE-NONE} " >"$WORK/expected.$place"
    : >"$WORK/absent" && : >"$WORK/missing.$place"
    # For each chain, the longest list that both have in common is in order. (Most often it is all of them.)
    awk -v absent="$WORK/absent" -v missing="$WORK/missing.$place" '
        { text = $0; gsub(/"/, ""); if (!($2 in present) && !($2 in wanted)) chains[++count] = $2 }
        FILENAME == ARGV[1] { n = ++present[$2]; has[$2, n] = $0; original[$2, n] = text; is_there[$0] = 1; next }
        { n = ++wanted[$2]; wants[$2, n] = $0 }
        END { for (c = 1; c <= count; c++) compare(chains[c], present[chains[c]], wanted[chains[c]]) }
        function compare(chain, n, m,    first, i, j, common) {
            for (first = 1; first <= n && first <= m && has[chain, first] == wants[chain, first]; first++) continue
            for (i = n; i >= first; i--) for (j = m; j >= first; j--) {
                common[i, j] = common[i + 1, j] > common[i, j + 1] ? common[i + 1, j] : common[i, j + 1]
                if (has[chain, i] == wants[chain, j]) common[i, j] = common[i + 1, j + 1] + 1
            }
            for (i = j = first; i <= n || j <= m; ) {
                if (i <= n && j <= m && has[chain, i] == wants[chain, j]) { i++; j++ }
                else if (j > m || i <= n && common[i + 1, j] >= common[i, j + 1]) print original[chain, i++]
                else if (wants[chain, j] in is_there) print wants[chain, j++] >missing
                else print wants[chain, j++] >absent
            }
        }' "$WORK/present.$place" "$WORK/expected.$place" >"$WORK/unexpected.$place"
    # What is absent may be what is unexpected, in the words of another version of iptables; or in a chain that
    # iptables-nft cannot list. So iptables itself is asked.
    while read -r rule; do
        chain=${rule#-A } chain=${chain%% *}
        if { grep -q -- "^-A $chain " "$WORK/unexpected.$place" || is_unreadable "$1" "$2"; } &&
            run_words "$(program "$1") -w -t $2 -C ${rule#-A }" 2>/dev/null; then
            awk -v chain="$chain" '$2 != chain || found++' "$WORK/unexpected.$place" >"$WORK/rest"
            mv "$WORK/rest" "$WORK/unexpected.$place"
        else
            printf '%s\n' "$rule" >>"$WORK/missing.$place"
        fi
    done <"$WORK/absent"
    [ ! -s "$WORK/missing.$place" ] && [ ! -s "$WORK/unexpected.$place" ]
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
            sed "s/^/    missing in IPv$family, $table: /" "$WORK/missing.$family.$table" >&2
        done
    done
    exit $EX_FAILED
}

# Prints up, down or partial, for the present values of PORTS, QUEUE, MARK and so on, and leaves the files of
# `compare_rules` for all tables.
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

# Prints the notes in the first family and table that has some, each as NAME VALUE on a line.
all_notes() {
    local family table found
    for family in $FAMILIES; do
        for table in $TABLES; do
            found=$(own_rules "$family" "$table" |
                sed -n "s/^-A $OWN-NOTE .*--comment \"\{0,1\}\([a-z-]*\)=\([^\" ]*\).*/\1 \2/p")
            case $found in *queue-num*) printf '%s\n' "$found" && return ;; esac
        done
    done
}

# Prints the values of the notes with a name as a list.
noted() { # NOTES NAME
    local name value list=''
    while read -r name value; do [ "$name" != "$2" ] || list="$list $value"; done <<EOF
$1
EOF
    echo "${list# }"
}

# Sets PORTS, PROTECT, EXEMPT, QUEUE, MARK, SETS, KEEPING, FILTER and ON_FAILURE to the values that the rules in the
# kernel were made with. False, and sets nothing, if there are no rules.
read_configuration() {
    local notes
    notes=$(all_notes)
    [ -n "$notes" ] || return
    PORTS=$(noted "$notes" target-port) PROTECT=$(noted "$notes" protect) EXEMPT=$(noted "$notes" exempt)
    PROTECT=$(in_order "$PROTECT") EXEMPT=$(in_order "$EXEMPT")
    QUEUE=$(noted "$notes" queue-num) MARK=$(noted "$notes" mark) SETS=$(noted "$notes" sets)
    KEEPING=$(noted "$notes" keeping) FILTER=$(noted "$notes" kernel-filter) ON_FAILURE=$(noted "$notes" on-failure)
    ON_FAILURE=${ON_FAILURE:-drop}
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

json_list() { lines_of "$1" | json_array any; } # LIST

# Prints the state of the rules as a JSON object on one line: see docs/FIREWALLS.md. The rules of others are judged for
# the given values. `--report`, for the guard, leaves out the lists of rules, and of the rules of others all but those
# that lead past the knock.
print_json() { # STATE WANTED PORTS QUEUE MARK PROTECT
    local family table list
    printf '{"role": "%s", "state": "%s", "instance": "%s", ' "$ROLE" "$1" "$INSTANCE"
    printf '"ports": %s, "queue": "%s", "mark": "%s", ' "$(json_list "$PORTS")" "$QUEUE" "$MARK"
    printf '"protect": %s, "exempt": %s, ' "$(json_list "$PROTECT")" "$(json_list "$EXEMPT")"
    printf '"on_failure": "%s", "kernel_filter": "%s", "kernel_filter_inode": %s, ' "$ON_FAILURE" "${FILTER%:*}" \
        "$(is_number "${FILTER##*:}" 0 4294967295 && echo "${FILTER##*:}" || echo null)"
    printf '"iptables": "%s", "iptables_in_use": %s, ' "$BACKEND" "$(json_list "$IN_USE")"
    printf '"families": %s, ' "$(json_list "$FAMILIES")"
    more_json "$1" "$2" "$4"
    if [ -z "$REPORT" ]; then
        for family in $FAMILIES; do
            for table in $TABLES; do
                [ "$1" != down ] || continue
                for list in expected present missing unexpected; do
                    sed "s/^/$list IPv$family $table /" "$WORK/$list.$family.$table"
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
            sed 's/^/    MISSING     /' "$WORK/missing.$family.$table"
            sed 's/^/    NOT OURS    /' "$WORK/unexpected.$family.$table" | tr '\001-\010\013-\037\177' '?'
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
