# shellcheck shell=dash
# Connections from before `up`: part of server.sh. What is kept is in $WORK/kept.FAMILY, as rules, and what is not in
# $WORK/left-out; sets KEEPING and KEPT.
#
# Whoever installs this over ssh must not be cut off. So every connection to the ports that is established when `up`
# runs is marked verified before the first rule is in place. This opens nothing: a mark belongs to one connection.

# Prints "client port server port" of the established connections that connection tracking knows.
tracked_connections() { # FAMILY PORT [FILTER...]
    local family=ipv4 port="$2"
    [ "$1" = 4 ] || family=ipv6
    shift 2
    conntrack -L -f "$family" -p tcp --dport "$port" "$@" 2>/dev/null | awk -v any="${ANY_STATE-}" '
        !any && ($4 !~ /^(ESTABLISHED|FIN_WAIT|CLOSE_WAIT|LAST_ACK)$/ || /\[UNREPLIED\]/) { next }
        {
            split("", field)
            for (i = 5; i <= NF; i++) {  # the first of each name is for the client to server direction
                n = index($i, "="); name = substr($i, 1, n - 1)
                if (n && !(name in field)) field[name] = substr($i, n + 1)
            }
            print field["src"], field["sport"], field["dst"], field["dport"]
        }'
}

# Prints the same for the sockets of this host: connection tracking may not have been active until now.
socket_connections() { # FAMILY PORT [cookie]
    ss -Htne state established state fin-wait-1 state fin-wait-2 state close-wait state last-ack state closing \
        "sport = :$2" 2>/dev/null | awk -v family="$1" -v cookie="${3-}" '
        function address(text) { # removes port, brackets, interface and ::ffff:
            sub(/:[0-9]+$/, "", text); gsub(/[][]/, "", text); sub(/%.*/, "", text)
            if (text ~ /^::ffff:[0-9]+\./) sub(/^::ffff:/, "", text)
            return text
        }
        function port(text) { sub(/.*:/, "", text); return text }
        { server = address($4); client = address($5) }
        client ~ /^127\./ || client == "::1" { next }  # our rules never see lo
        (client ~ /:/ ? 6 : 4) == family {
            line = client " " port($5) " " server " " port($4)
            for (i = 6; cookie && i <= NF; i++) if ($i ~ /^sk:/) line = line " " $i
            print line
        }'
}

set_connection_mark() { # CLIENT PORT SERVER PORT
    conntrack -U -p tcp -s "$1" --sport "$2" -d "$3" --dport "$4" -m "$MARK/$MARK" >/dev/null 2>&1
}

# Marks a connection that connection tracking has no entry for, by adding an entry.
track_connection() { # CLIENT PORT SERVER PORT
    conntrack -I -p tcp -s "$1" --sport "$2" -d "$3" --dport "$4" \
        --state ESTABLISHED -u ASSURED -t 432000 -m "$MARK" >/dev/null 2>&1
}

# Marks a connection by whichever way works. The third attempt is for an entry that appeared between the first two.
mark_connection() { # CLIENT PORT SERVER PORT
    set_connection_mark "$@" || track_connection "$@" || set_connection_mark "$@"
}

kept_rules() { # CLIENT PORT SERVER PORT
    local bits=32
    case $1 in *:*) bits=128 ;; esac
    echo "-A $OWN-KEPT -s $1/$bits -d $3/$bits -p tcp -m tcp --sport $2 --dport $4 -j CONNMARK --set-xmark $MARK/$MARK"
    echo "-A $OWN-KEPT -s $3/$bits -d $1/$bits -p tcp -m tcp --sport $4 --dport $2 -j CONNMARK --set-xmark $MARK/$MARK"
}

# Keeps the connections that may go on behind the new rules: marks them, and sets KEEPING if there are rules for some of
# them, which it writes to $WORK/kept.FAMILY. Sets KEPT to the number of those that were established before, and writes
# to $WORK/left-out those that may not go on.
#
# All established connections are kept only for ports that never had rules. Where there were rules before, a connection
# that is not verified has no right to be there: it came in while they were down.
keep_connections() { # OLD_PORTS OLD_MARK OLD_PLACES OLD_EXEMPT
    local port family established='' recorded='' past
    KEPT=0
    past=$(remembered_ports)
    for port in $PORTS; do
        case " $1 " in *" $port "*)
            if [ -z "$KEEP_ESTABLISHED" ] || [ "$PROTECT, $EXEMPT" = "$3, $4" ]; then
                recorded="$recorded $port"
                continue
            fi
            ;;
        esac
        case " $past " in *" $port "*) [ -n "$KEEP_ESTABLISHED" ] || { recorded="$recorded $port" && continue; } ;; esac
        established="$established $port"
    done
    [ -z "$1" ] || keep_verified "$2" "$1"
    [ -z "$recorded" ] || keep_recorded "$recorded"
    # For ports that stay protected, the connections that are not kept need no mention.
    [ -z "$1" ] || [ ! -e "$WORK/left-out" ] || : >"$WORK/left-out"
    keep_established "$established"
    KEEPING=''
    for family in $FAMILIES; do
        [ -s "$WORK/kept.$family" ] || continue
        KEEPING=yes
        sort -u "$WORK/kept.$family" -o "$WORK/kept.$family"
    done
}

# Marks the established connections to the given ports, and adds their number to KEPT.
keep_established() { # PORTS
    local port family client client_port server server_port
    for family in $FAMILIES; do
        : >"$WORK/tuples"
        for port in $1; do
            tracked_connections "$family" "$port" >>"$WORK/tuples"
            socket_connections "$family" "$port" >"$WORK/sockets"
            cat "$WORK/sockets" >>"$WORK/tuples"
            # Connection tracking knows neither the beginning nor the window scale of a connection that it did not see
            # from the start, and may forget it after five idle minutes. So each local connection gets a rule, for the
            # exact addresses and ports of both ends, that marks it again when it is next seen from either side. Only a
            # segment without SYN that begins an entry reaches this rule, and a connection through the knock begins with
            # a SYN, so no new connection gets in this way.
            while read -r client client_port server server_port; do
                kept_rules "$client" "$client_port" "$server" "$server_port"
            done <"$WORK/sockets" >>"$WORK/kept.$family"
        done
        sort -u "$WORK/tuples" >"$WORK/unique"
        while read -r client client_port server server_port; do
            mark_connection "$client" "$client_port" "$server" "$server_port" && KEPT=$((KEPT + 1))
        done <"$WORK/unique"
    done
}

# Carries over the state of the present rules when `up` replaces them: the connections verified under the old mark, and
# the rules of KEPT.
keep_verified() { # OLD_MARK OLD_PORTS
    local family port client client_port server server_port
    for family in $FAMILIES; do
        own_rules "$family" mangle | grep "^-A $OWN-KEPT " |
            sed "s|--set-xmark .*|--set-xmark $MARK/$MARK|" >"$WORK/kept.$family"
        [ "$1" != "$MARK" ] || continue
        for port in $2; do
            tracked_connections "$family" "$port" -m "$1/$1" >"$WORK/tuples"
            while read -r client client_port server server_port; do
                set_connection_mark "$client" "$client_port" "$server" "$server_port"
            done <"$WORK/tuples"
        done
    done
}

# Prints "client port server port cookie" of the sockets of this host. The kernel never reuses a cookie.
socket_cookies() { # FAMILY PORTS
    local port
    for port in $2; do socket_connections "$1" "$port" cookie; done
}

# Prints the connections that connection tracking has marked as verified.
marked_connections() { # FAMILY PORTS
    local port
    # In any state: a mark counts in each.
    local ANY_STATE=yes
    for port in $2; do tracked_connections "$1" "$port" -m "$MARK/$MARK"; done
}

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# Prints the record of connections if it is of this boot: "KIND FAMILY CLIENT PORT SERVER PORT COOKIE" for each
# connection, and "down" if `down` wrote it.
recorded_connections() {
    local file
    file=$(record connections)
    [ -e "$file" ] && [ "$(head -n 1 "$file")" = "$(boot_id)" ] && sed 1d "$file"
}

# Prints the sockets that have a rule in KEPT, for the record: a later `up` can restore a rule that somebody removed.
record_kept() {
    local family
    for family in $FAMILIES; do
        [ -s "$WORK/kept.$family" ] || continue
        socket_cookies "$family" "$PORTS" >"$WORK/cookies"
        awk -v family="$family" '
            FILENAME == ARGV[1] { cookie[$1 " " $2 " " $3 " " $4] = $5; next }
            {
                for (i = 3; i < NF; i++) {
                    if ($i == "-s") { from = $(i + 1); sub("/.*", "", from) }
                    if ($i == "-d") { to = $(i + 1); sub("/.*", "", to) }
                    if ($i == "--sport") sport = $(i + 1)
                    if ($i == "--dport") dport = $(i + 1)
                }
                tuple = from " " sport " " to " " dport
                if (tuple in cookie) print "kept " family " " tuple " " cookie[tuple]
            }' "$WORK/cookies" "$WORK/kept.$family"
    done
}

# Prints the sockets that are verified when `down` removes the rules, for the record. Nobody clears the marks in
# connection tracking while there are no rules, but a new socket may meet an old mark: the next `up` believes only the
# recorded ones.
record_verified() {
    local family
    recorded_connections | grep '^kept '
    for family in $FAMILIES; do
        marked_connections "$family" "$PORTS" >"$WORK/marked"
        socket_cookies "$family" "$PORTS" | awk -v family="$family" '
            FILENAME == ARGV[1] { marked[$0] = 1; next }
            $1 " " $2 " " $3 " " $4 in marked { print "verified " family " " $0 }' "$WORK/marked" -
    done
    echo down
}

# Keeps only the recorded connections of ports that an earlier `up` has protected. Those that are not kept go to the
# file left-out.
keep_recorded() { # PORTS
    local family port kind client client_port server server_port
    : >"$WORK/left-out"
    recorded_connections >"$WORK/recorded"
    for family in $FAMILIES; do
        socket_cookies "$family" "$1" >"$WORK/cookies"
        marked_connections "$family" "$1" >"$WORK/marked"
        awk -v family="$family" '
            FILENAME == ARGV[1] && $1 == "down" { after_down = 1 }
            FILENAME == ARGV[1] { if ($2 == family) was[$3 " " $4 " " $5 " " $6 " " $7] = $1; next }
            { tuple = $1 " " $2 " " $3 " " $4 }
            FILENAME == ARGV[2] { marked[tuple] = 1; next }
            ($0 in was) && (was[$0] == "kept" || !(tuple in marked)) { print "keep " tuple; next }
            after_down && !($0 in was) && (tuple in marked) { print "clear " tuple }
            ' "$WORK/recorded" "$WORK/marked" "$WORK/cookies" >"$WORK/decided"
        while read -r kind client client_port server server_port; do
            case $kind in
            keep)
                mark_connection "$client" "$client_port" "$server" "$server_port"
                kept_rules "$client" "$client_port" "$server" "$server_port" >>"$WORK/kept.$family"
                ;;
            clear)
                conntrack -U -p tcp -s "$client" --sport "$client_port" -d "$server" --dport "$server_port" \
                    -m "0/$MARK" >/dev/null 2>&1
                ;;
            esac
        done <"$WORK/decided"
        marked_connections "$family" "$1" >"$WORK/marked"
        cut -d ' ' -f 1-4 "$WORK/cookies" >"$WORK/tuples"
        # Connections that are not addressed to this host have no socket here, but connection tracking knows them. With
        # PROTECT=own they go on in any case.
        [ "$PROTECT" = own ] || for port in $1; do tracked_connections "$family" "$port"; done >>"$WORK/tuples"
        sort -u "$WORK/tuples" | grep -vxF -f "$WORK/marked" >>"$WORK/left-out"
    done
}

say_what_is_kept() {
    local count
    [ "$KEPT" -eq 0 ] || echo "kept: $KEPT connection(s) that were established before"
    [ -s "$WORK/left-out" ] || return 0
    count=$(grep -c '' "$WORK/left-out")
    echo "not kept: $count connection(s) that began without the knock ('up --keep-established' keeps such):"
    head -n 10 "$WORK/left-out" | while read -r client client_port _ server_port; do
        echo "    from $client port $client_port to port $server_port"
    done
    [ "$count" -le 10 ] || echo "    and $((count - 10)) more"
    [ -z "$EXEMPT" ] || echo "    (those of who is exempt go on)"
}
