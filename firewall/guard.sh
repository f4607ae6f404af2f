# shellcheck shell=dash
# The guard, and the watcher of `up --confirm`, both of which work on by themselves: part of server.sh.

# --- confirmation ------------------------------------------------------------------------------------------------
# `up --confirm` leaves a watcher behind that runs `down` when the time is over. It starts before the rules go in and
# has no terminal, so it works even if the rules have cut off whoever ran `up`. A pending confirmation is a file, named
# after the network namespace, that contains a token; the watcher acts only on its own token.

pending_file() { echo "$STATE/confirm.$(readlink /proc/self/ns/net | tr -dc 0-9)${INSTANCE:+.$INSTANCE}"; }

start_watcher() { # SECONDS
    local token
    token=$(cat /proc/sys/kernel/random/uuid)
    echo "$token" >"$(pending_file)"
    # Started without the lock (descriptor 9) and without the terminal.
    setsid "$(readlink -f -- "$0")" --watch-confirmation "$token" "$1" "$BACKEND" "$INSTANCE" \
        </dev/null >/dev/null 2>&1 9>&- &
}

# Forgets an earlier confirmation that is pending, and waits for one if --confirm asks for it.
await_confirmation() {
    cancel_watcher
    [ -z "$CONFIRM" ] || start_watcher "$CONFIRM"
}

cancel_watcher() { rm -f "$(pending_file)"; } # it checks every second, and exits when its token is gone

watch_confirmation() { # TOKEN SECONDS BACKEND INSTANCE
    local left="$2" token
    [ -z "$4" ] || set_instance "$4"
    trap '' HUP
    while [ "$left" -gt 0 ]; do
        sleep 1
        left=$((left - 1))
        read -r token 2>/dev/null <"$(pending_file)" && [ "$token" = "$1" ] || exit 0
    done
    COMMAND=down BACKEND=$3
    begin
    read -r token 2>/dev/null <"$(pending_file)" && [ "$token" = "$1" ] || exit 0
    choose_backend
    cancel_watcher
    rm -f "$(record wanted)"
    logger -t tcpknock "server.sh up was not confirmed within $2 seconds: taking the rules down" 2>/dev/null
    remove_all
    exit
}

# --- the guard ---------------------------------------------------------------------------------------------------
# `nft flush ruleset`, `iptables -F` and restarting firewall services remove our rules with everybody else's. `up`
# records that the rules are wanted, and `down` removes that record.
#
# With --report, the guard works for tcpknock-server, which may neither read nor change rules. It looks whenever it
# reads `look NUMBER`, and ends at the end of its standard input, so it ends with the daemon, however that ends. Its
# answer is `rules NUMBER JSON`, as `status --json` prints it, for the rules of the queue --queue-num, whichever instance
# has it; or `unknown NUMBER WHY`. When it has tried to put rules back, it prints `say err|notice TEXT`, and then `rules`
# once more.

# The interval between looks, and the time to wait after rules could not be put back, in seconds.
GUARD_INTERVAL=1 GUARD_PATIENCE=10

# Waits until it is time to look, and sets `number` to that of the request. False at the end of the input.
next_look() {
    if [ -z "$REPORT" ]; then
        sleep $GUARD_INTERVAL
        return
    fi
    read -r _ number || return
    is_number "$number" 0 4294967295 || number=0
}

# Prints everything whose change requires a new look: our rules and those of others that packets may meet before them,
# whether the gate of the kernel filter is attached, and what people asked for.
guarded() {
    local BACKEND family table
    tables_may_have_changed
    for BACKEND in nft legacy; do
        backend_exists "$BACKEND" || continue
        for family in $FAMILIES; do
            for table in $TABLES; do saved_table "$family" "$table"; done
        done
    done | grep -e '^-A' -e '^:TCPKNOCK-'
    # The tables of nft itself, without counters and the elements of sets.
    nft -st list ruleset 2>/dev/null | cksum
    ls "$PIN_FOLDER/$(stat -L -c %i /proc/self/ns/net)"-*/link-* 2>/dev/null
    stat -c '%n %i %Z' "$(records_folder)"/wanted* "${STATE}/confirm".* 2>/dev/null
}

# Prints the chain prefixes of all instances that have rules or records; the default one first.
instances() {
    local BACKEND family file
    echo TCPKNOCK-SRV
    {
        for file in "$(records_folder)"/wanted.*; do
            [ ! -e "$file" ] || echo "TCPKNOCK-${file##*/wanted.}_"
        done
        for BACKEND in nft legacy; do
            backend_exists "$BACKEND" || continue
            for family in $FAMILIES; do saved_table "$family" mangle; done
        done | sed -n 's/^:\(TCPKNOCK-[A-Za-z0-9-]*_\)-NOTE .*/\1/p'
    } | sort -u
}

use_instance() { # OWN as `instances` prints it
    INSTANCE='' OWN=$1 GROWING=$1-KEPT
    case $1 in *_)
        INSTANCE=${1#TCPKNOCK-}
        INSTANCE=${INSTANCE%_}
        ;;
    esac
}

# Selects the instance whose rules, or whose last `up`, are for a queue, and its backend. False if there is none.
choose_instance() { # QUEUE
    local own asked="$1"
    for own in $(instances); do
        use_instance "$own"
        IN_USE=$(backends_with_rules)
        BACKEND=${IN_USE%% *}
        BACKEND=${BACKEND:-$(system_backend)}
        if read_configuration; then
            [ "$QUEUE" != "$asked" ] || return 0
        elif [ -e "$(record wanted)" ] && [ "$(recorded_queue)" = "$asked" ]; then
            return 0
        fi
    done
    use_instance TCPKNOCK-SRV
    return 1
}

recorded_queue() {
    { [ ! -e "$(record flags)" ] || tr ' ' '\n' <"$(record flags)"; } |
        awk -v usual="$QUEUE_DEFAULT" 'last == "--queue-num" { queue = $0 } { last = $0 } END { print queue == "" ? usual : queue }'
}

# Prints the ports whose rules are complete, if some rules are missing.
whole_ports() {
    local family table place port whole="$PORTS"
    for family in $FAMILIES; do
        for table in $TABLES; do
            place=$family.$table
            # Somebody has added a rule to our chains, or removed one that all ports share.
            [ ! -s "$WORK/unexpected.$place" ] || return
            ! grep -q -- "^-A $OWN-" "$WORK/missing.$place" || return
            for port in $PORTS; do
                grep -Eq -- "--[ds]port $port( |\$)" "$WORK/missing.$place" || echo "$port"
            done >"$WORK/whole"
            whole=$(lines_of "$whole" | grep -xF -f "$WORK/whole")
        done
    done
    echo "$whole"
}

# Prints whether the recorded rules are wanted: yes, no or unconfirmed.
wanted() { # SEEN: whether this guard has seen them
    if [ -e "$(pending_file)" ]; then
        echo unconfirmed
    elif [ ! -e "$(record wanted)" ]; then
        echo no
    else
        # The number of a namespace that has ended can be reused for another one, in which nobody has asked for rules.
        case $(records_folder) in "$STATE"/*) [ -n "$1" ] && echo yes || echo no ;; *) echo yes ;; esac
    fi
}

# Prints the state as `print_json` does, or exits with an error. Waits while another run changes rules.
look() { # QUEUE SEEN
    (
        exec 9>"$(lock_file)"
        flock -w 30 9 || die $EX_FAILED "another run of these scripts has been busy for 30 seconds"
        tables_may_have_changed
        BACKEND=auto state=down wanted=no
        choose_backend
        if [ -z "$REPORT" ] || choose_instance "$1"; then
            wanted=$(wanted "$2")
            ! { read_configuration || [ -n "$IN_USE" ]; } || state=$(state)
        fi
        [ "$state,$wanted" != up,yes ] || is_as_recorded || state=partial
        [ "$state" != down ] || forget_values
        print_json "$state" "$wanted" "$PORTS" "${QUEUE:-$1}" "$MARK" "$PROTECT"
    ) 2>"$WORK/look"
}

# Prints the members of the JSON object that only a server has.
more_json() { # STATE WANTED QUEUE
    local complete=''
    case $1 in up) complete=$PORTS ;; partial) complete=$(whole_ports) ;; esac
    printf '"wanted": "%s", "complete_ports": %s, "closed_ports": %s, "instances": %s, ' "${2:-$(wanted yes)}" \
        "$(json_list "$complete")" "$(closed_ports "$3" | json_array any)" \
        "$(instances | sed -n 's/^TCPKNOCK-\(.*\)_$/\1/p' | json_array text)"
}

# Prints the ports that the gate closes to everybody.
closed_ports() { # QUEUE
    local folder
    folder=$PIN_FOLDER/$(stat -L -c %i /proc/self/ns/net)-${1%%:*}
    ! is_gate_closed "$folder" || tcpknock_tool kernel-filter closed --folder "$folder" 2>/dev/null
}

# Each look is cheap: it lists the rules. Only after a change are they compared with the wanted ones.
guard() {
    local self now line known=unknown seen='' told='' number=0 not_before=0 queue="$QUEUE"
    self=$(readlink -f -- "$0")
    # A signal to the daemon's whole process group must not interrupt a repair.
    if [ -n "$REPORT" ]; then trap '' TERM; else echo ready; fi
    while next_look; do
        now=$(guarded)
        if [ "$now" != "$known" ]; then
            if line=$(look "$queue" "$seen"); then
                known=$now
            else
                line=''
                known=unknown
            fi
            case $line in *'"state": "up"'*) seen=yes ;; esac
        fi
        [ -z "$REPORT" ] || say_rules "$line"
        # Rules that wait for `up --confirm` are left alone: the watcher must find the rules that it knows.
        case $line in
        *'"state": "up"'*) continue ;;
        *'"wanted": "yes"'*) ;;
        *) continue ;;
        esac
        [ "$not_before" = 0 ] || [ "$(date +%s)" -ge "$not_before" ] || continue
        not_before=0
        if [ -n "$TELL" ]; then
            [ -n "$REPORT" ] || [ "$known" = "$told" ] || guard_says err "$RULES_LOST"
            told=$known
            continue
        fi
        known=unknown
        put_back "$(printf '%s\n' "$line" | sed 's/.*"instance": "\([^"]*\)".*/\1/')" || not_before=$(($(date +%s) + GUARD_PATIENCE))
        if [ -n "$REPORT" ]; then
            now=$(guarded)
            ! line=$(look "$queue" "$seen") || known=$now
            say_rules "$line"
        fi
    done
}

# False if the rules, though complete, are not those of the last `up`: somebody has restored an older state.
is_as_recorded() {
    local flags now
    flags=$(cat "$(record flags)" 2>/dev/null) || return 0
    now=$(what_rules_say)
    (
        valid_flags "$flags" up || exit 0
        use_defaults
        parse_flags_and "$COMMANDS" "$flags" up
        [ "$(what_rules_say)" = "$now" ]
    )
}

what_rules_say() { echo "$PORTS, $PROTECT, $EXEMPT, $QUEUE, $MARK, $ON_FAILURE"; }

say_rules() { # LINE
    if [ -n "$1" ]; then echo "rules $number $1"; else echo "unknown $number $(tr '\n' ' ' <"$WORK/look")"; fi
}

put_back() { # INSTANCE
    local INSTANCE="$1"
    [ -n "$REPORT" ] || guard_says err "$RULES_LOST; putting them back"
    # The older rules may be for ports that have been dropped since.
    if run_words "$self up --put-back ${INSTANCE:+--instance $INSTANCE} $(cat "$(record flags)" 2>/dev/null) --drop-ports" \
        >/dev/null 2>"$WORK/put-back"; then
        guard_says notice "the firewall rules are back"
        return
    fi
    guard_says err "the firewall rules could not be put back: $(tr '\n' ' ' <"$WORK/put-back")"
    return 1
}

RULES_LOST='firewall rules are missing that nobody took down: the ports may be OPEN'

# Reports a message. With --report, the daemon writes it to its own log.
guard_says() { # PRIORITY TEXT
    if [ -n "$REPORT" ]; then
        echo "say $1 $2"
        return
    fi
    complain "$2"
    logger -t tcpknock -p "daemon.$1" "server.sh guard: $2" 2>/dev/null
}
