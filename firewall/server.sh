#!/bin/sh
# shellcheck disable=SC3043
# The rules of a host, or of a gateway to hosts, whose TCP ports are hidden behind a knock.
#
#   wire -> raw PREROUTING --- locked out, or cannot be a knock: dropped before it costs anything; so is a SYN with a
#                |             wrong code, where tcpknock-server has a filter in the kernel
#                \-> mangle PREROUTING --- verified connection -------------> socket, or forwarded
#                             \-- else -> queue -> tcpknock-server -> INPUT or FORWARD (verdict becomes connmark) ->
#   wire <- mangle POSTROUTING <- queue <- SYN/ACKs of the protected ports
#
# What constant bytes decide is dropped in the raw table, before connection tracking makes an entry for it. The rest is
# in the mangle table: its PREROUTING comes after connection tracking, which we need to know the connection, and its
# POSTROUTING after connection tracking has seen the true sequence number of our SYN/ACK.
# Nothing here opens anything for an address; what is let through is one connection.
#
# With --on-failure reset nothing is dropped here: the daemon answers all that is refused, as a closed port would.

set -u
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "$(readlink -f -- "$0")")/common.sh"

ROLE=server
OWN=TCPKNOCK-SRV
TABLES='mangle raw'
QUEUE_RANGES=', or FIRST:LAST for at most 64 queues'
GROWING=$OWN-KEPT
FLAGS='--target-port --queue-num --mark --on-failure --iptables --kernel-filter --pin-folder --confirm'
SWITCHES='--json'
PORTS=22
QUEUE=100
# One bit, in packet marks and connection marks. This one does not meet those of kube-proxy (0x4000, 0x8000),
# Cilium (0x0f00 and the upper 16), Calico (0xffff0000), Tailscale (0xff0000), wg-quick (0xca6c), Mullvad
# (0x6d6f6c65), Weave (0x20000) or the AWS VPC plug-in (0x80).
MARK=0x1000
ON_FAILURE=drop
KERNEL_FILTER=auto
PIN_FOLDER=/sys/fs/bpf/tcpknock
WITHOUT_DAEMON='nobody can open a new connection to the target ports'

usage() {
    cat <<EOF
Usage: server.sh up      [--target-port N ...] [--queue-num N] [--mark BIT] [--iptables auto|nft|legacy]
                         [--kernel-filter auto|on|hook|rule|off] [--pin-folder PATH]
                         [--on-failure drop|reset] [--confirm SECONDS]
       server.sh confirm
       server.sh status  [--iptables auto|nft|legacy] [--json]
       server.sh down    [--iptables auto|nft|legacy] [--pin-folder PATH]

The firewall rules for tcpknock-server, for IPv4 and IPv6. New connections to the target ports need the knock;
connections that are established when 'up' runs are kept. Without the daemon nobody gets in (fail closed).

  up        puts the rules in; run again with other values it replaces them, with the same it changes nothing
  confirm   keeps the rules that 'up --confirm' put in
  status    says what is there, with --json for programs; exit status 0: up, 3: down, 1: only partly there
  down      takes the rules out and leaves everything else as it was

  --target-port N     a TCP port to protect; may be given several times (default $PORTS)
  --queue-num N       the queue that tcpknock-server listens to (default $QUEUE); FIRST:LAST for several
  --mark BIT          the one bit, in packet and connection marks, that means verified (default $MARK);
                      tcpknock-server must be given the same
  --iptables WHICH    auto (default): the one in which the rules are, else what 'iptables' is on this system
  --kernel-filter WHICH
                      auto (default): let the program that tcpknock-server has put into the kernel drop SYNs with
                      wrong codes, if it has; on: fail if it has not; off: do not. It is attached to the network
                      itself where the kernel can do that (Linux 6.4 and later), else a rule asks it; hook or rule:
                      on, and only in this way
  --pin-folder PATH   where tcpknock-server pins that program (default $PIN_FOLDER)
  --on-failure WHAT   drop (default): who does not know the knock gets no answer, as from behind a firewall; reset: a
                      RST, as from a closed port, for which tcpknock-server must be given the same
  --confirm SECONDS   take the rules down again unless 'server.sh confirm' was run within this time
  -h, --help          this text

'down', 'status' and 'confirm' find the values in the rules themselves and need no flags. (If somebody has taken the
rules away, 'down' looks in the pin folder for a kernel filter that is still attached.)

For the kernel filter, start tcpknock-server before 'up', or run 'up' again then. Where a rule asks it, rules that were
saved by iptables-save can be restored only while the program is pinned, so not at boot.
EOF
}

# --- the rules ---------------------------------------------------------------------------------------------------

# In the syntax of iptables-save. Hooks first; the order inside each chain matters.
wanted_rules() { # FAMILY TABLE
    case $2 in
    raw) wanted_raw_rules "$1" ;;
    mangle) wanted_mangle_rules "$1" ;;
    esac
}

wanted_raw_rules() { # FAMILY
    local port empty_ack
    [ "$ON_FAILURE" = drop ] || return 0
    # The ack field of a SYN is 0. In IPv4 the TCP header comes after 4 * IHL bytes; in IPv6 after 40, if TCP is the
    # next header. (Behind extension headers it is not found here, and the daemon decides.)
    case $1 in
    4) empty_ack='0x0>>0x16&0x3c@0x8=0x0' ;;
    6) empty_ack='0x3&0xff=0x6&&0x30=0x0' ;;
    esac

    for port in $PORTS; do
        echo "-A PREROUTING -p tcp -m tcp --dport $port ! --tcp-flags SYN,RST,ACK ACK -j $OWN-RAW"
    done
    # RAW: what needs no second look. The segments of a connection, nearly all of them with ACK and without SYN and
    # RST, do not come here. FIN,SYN,RST,ACK is the mask: of these flags, SYN alone.
    # 1. The program that the daemon has put into the kernel knows which codes are wrong. It comes first, because a
    #    flood of them is what it is for; and it looks at flags and interface itself, which saves two matches.
    # 2. What this host sends to itself needs no knock.
    # 3. The daemon puts who is locked out into a set; the set lets go of them by itself.
    # 4. A SYN with an empty ack field knows nothing of knocking; every scanner ends here.
    # 5. Any other SYN alone may be a knock. A SYN with FIN, RST or ACK comes from no client;
    #    and what has neither SYN nor ACK nor RST belongs to nothing.
    [ -z "$FILTER" ] || is_hook "$FILTER" ||
        echo "-A $OWN-RAW -m bpf --object-pinned ${FILTER%:*} -j DROP"
    echo "-A $OWN-RAW -i lo -j RETURN"
    [ -z "$SETS" ] || echo "-A $OWN-RAW -m set --match-set $(set_name "$1") src -j DROP"
    cat <<EOF
-A $OWN-RAW -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m u32 --u32 $empty_ack -j DROP
-A $OWN-RAW -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j RETURN
-A $OWN-RAW -p tcp -m tcp --tcp-flags SYN SYN -j DROP
-A $OWN-RAW -p tcp -m tcp --tcp-flags RST,ACK NONE -j DROP
EOF
}

wanted_mangle_rules() { # FAMILY
    local port to_queue="-j NFQUEUE --queue-num $QUEUE"
    # Of several queues, the kernel chooses one by both addresses, so each sees both directions of what it judges.
    case $QUEUE in *:*) to_queue="-j NFQUEUE --queue-balance $QUEUE" ;; esac

    for port in $PORTS; do
        cat <<EOF
-A PREROUTING -p tcp -m tcp --dport $port -j $OWN-IN
-A INPUT -p tcp -m tcp --dport $port -m mark --mark $MARK/$MARK -j $OWN-SAVE
-A INPUT -p tcp -m tcp --dport $port --tcp-flags SYN SYN -j $OWN-SAVE
-A FORWARD -p tcp -m tcp --dport $port -m mark --mark $MARK/$MARK -j $OWN-SAVE
-A FORWARD -p tcp -m tcp --dport $port --tcp-flags SYN SYN -j $OWN-SAVE
-A POSTROUTING -p tcp -m tcp --sport $port --tcp-flags SYN,ACK SYN,ACK -j $OWN-OUT
EOF
        [ -z "$KEEPING" ] ||
            echo "-A POSTROUTING -p tcp -m tcp --sport $port --tcp-flags SYN NONE" \
                "-m conntrack --ctstate NEW -j $OWN-KEPT"
    done

    # IN: who comes in.
    # 1. Verified connections pass and never leave the kernel again. Not so their SYNs: a SYN is always a knock.
    # 2. What this host sends to itself needs no knock. (Not asked in the hooks above: to compare the name of an
    #    interface costs more than all else there, and every segment of a connection would pay for it.)
    # 3. Connections from before `up` that connection tracking has no entry for get their mark, and pass.
    # 4. What else begins in the middle has no handshake that could be judged. (The answer to a SYN/ACK is not new.)
    # 5. All else is the daemon's. There is no --queue-bypass: without the daemon nobody gets in.
    cat <<EOF
-A $OWN-IN -p tcp -m tcp --tcp-flags SYN NONE -m connmark --mark $MARK/$MARK -j RETURN
-A $OWN-IN -i lo -j RETURN
EOF
    [ -z "$KEEPING" ] || cat <<EOF
-A $OWN-IN -p tcp -m tcp --tcp-flags SYN NONE -m conntrack --ctstate NEW -j $OWN-KEPT
-A $OWN-IN -p tcp -m tcp --tcp-flags SYN NONE -m connmark --mark $MARK/$MARK -j RETURN
EOF
    [ "$ON_FAILURE" = reset ] ||
        echo "-A $OWN-IN -p tcp -m tcp --tcp-flags SYN NONE -m conntrack --ctstate NEW -j DROP"
    echo "-A $OWN-IN $to_queue"

    # OUT: the SYN/ACKs, whose sequence number the daemon encrypts.
    cat <<EOF
-A $OWN-OUT -o lo -j RETURN
-A $OWN-OUT $to_queue
EOF

    # SAVE: the daemon accepts the right third ACK with the packet mark set. A packet from a queue goes on behind the
    # chain that queued it, so the mark is saved here, one hook later, in INPUT or FORWARD.
    # 1. A SYN that the daemon let through begins something new, which inherits no verification.
    # 2. The verdict becomes the connection's mark. Never from a SYN, whoever may have marked that.
    # 3. The packet mark has done its work. Routing has been decided, so clearing it changes nothing else.
    cat <<EOF
-A $OWN-SAVE -p tcp -m tcp --tcp-flags SYN SYN -j CONNMARK --set-xmark 0x0/$MARK
-A $OWN-SAVE -p tcp -m tcp --tcp-flags SYN NONE -m mark --mark $MARK/$MARK -j CONNMARK --save-mark --nfmask $MARK --ctmask $MARK
-A $OWN-SAVE -m mark --mark $MARK/$MARK -j MARK --set-xmark 0x0/$MARK
EOF

    # KEPT: see keep_established. Empty but for connections from before `up`.
    echo ":$OWN-KEPT - [0:0]"
    [ ! -e "$WORK/kept.$1" ] || cat "$WORK/kept.$1"
}

# --- who is locked out -------------------------------------------------------------------------------------------
# The daemon drops what they send in any case. Where there is ipset, it also puts them into a set, and the rules drop
# what they send before it costs anything. Sets are named after the (first) queue, one for each family.

set_name() { echo "tcpknock-${QUEUE%%:*}-$1"; } # FAMILY

# Makes the sets, and sets SETS if the kernel has them.
make_sets() {
    local family inet
    SETS=''
    command -v ipset >/dev/null || return 0
    for family in $FAMILIES; do
        inet=inet
        [ "$family" = 4 ] || inet=inet6
        if ! ipset -exist create "$(set_name "$family")" hash:ip family "$inet" timeout 0 2>/dev/null; then
            destroy_sets
            return 0
        fi
    done
    SETS=yes
}

destroy_sets() {
    local family _
    command -v ipset >/dev/null || return 0
    for family in $FAMILIES; do
        # iptables-nft lets go of a set some time after the rule is gone.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            ipset list -n "$(set_name "$family")" >/dev/null 2>&1 || break
            ipset destroy "$(set_name "$family")" 2>/dev/null && break
            sleep 0.1
        done
    done
}

# --- the kernel filter -------------------------------------------------------------------------------------------
# tcpknock-server pins a program that tells wrong codes from right ones, and where the kernel has such, one that can be
# attached to the network itself: `tcpknock kernel-filter` does that, and pins the links beside it. A rule, or a link,
# holds the program and not its path: if another one is pinned there later, it must be made anew. So the notes have the
# number of the file, too.

# Whether it is the program that is attached by links, and no rule asks it.
is_hook() { case $1 in */syn_code_hook:*) ;; *) return 1 ;; esac } # FILTER

# Whether both links are there.
is_attached() { # FOLDER
    [ -e "$1/link-ipv4" ] && [ -e "$1/link-ipv6" ]
}

# Attaches the program in a folder for the ports in PORTS, if there is one and it can be.
attach_hook() { # FOLDER
    local port
    [ -e "$1/syn_code_hook" ] || return
    set -- --folder "$1"
    for port in $PORTS; do set -- "$@" --target-port "$port"; done
    tcpknock_tool kernel-filter attach "$@" 2>"$WORK/attach"
}

detach_hook() { rm -f "$1/link-ipv4" "$1/link-ipv6"; } # FOLDER

# Detaches the programs of all queues of this network namespace; false if none was attached.
detach_all() {
    local link found=1
    for link in "$PIN_FOLDER/$(stat -L -c %i /proc/self/ns/net)"-*/link-ipv*; do
        [ ! -e "$link" ] || { rm -f "$link" && found=0; }
    done
    return $found
}

# Runs the program `tcpknock`: of the same installation, of the build beside the source, or whatever the PATH has.
tcpknock_tool() { # ARGUMENT...
    local here path
    here=$(dirname -- "$(readlink -f -- "$0")")
    for path in "$here/../../sbin/tcpknock" "${TCPKNOCK_BIN:-$here/../.build/release}/tcpknock"; do
        [ ! -x "$path" ] || break
        path=tcpknock
    done
    "$path" "$@"
}

# Sets FILTER to PATH:NUMBER, or to nothing if there is no program or it is not wanted.
choose_filter() {
    local path
    FILTER=''
    if [ "$ON_FAILURE" = reset ]; then
        case $KERNEL_FILTER in auto | off) return 0 ;; esac
        die $EX_USAGE "--kernel-filter $KERNEL_FILTER does not go with --on-failure reset: it could only drop;" \
            "nothing was changed"
    fi
    [ "$KERNEL_FILTER" != off ] || return 0
    # Daemons in other network namespaces may have a queue of the same number, and use the same folder.
    path=$PIN_FOLDER/$(stat -L -c %i /proc/self/ns/net)-${QUEUE%%:*}/syn_code
    if [ ! -e "$path" ]; then
        [ "$KERNEL_FILTER" != auto ] || return 0
        die $EX_FAILED "--kernel-filter $KERNEL_FILTER: there is no program at $path; tcpknock-server puts it there," \
            "so start that first; nothing was changed"
    fi
    if [ "$KERNEL_FILTER" != rule ] && attach_hook "${path%/*}"; then
        path=${path}_hook
    elif [ "$KERNEL_FILTER" = hook ]; then
        die $EX_FAILED "--kernel-filter hook: the program cannot be attached:" \
            "$(cat "$WORK/attach" 2>/dev/null || echo "there is none at ${path}_hook; it takes Linux 6.4 or later");" \
            "nothing was changed"
    fi
    FILTER=$path:$(stat -c %i "$path")
}

# Detaches the program that was noted before, unless it is still wanted.
leave_filter() { # OLD
    is_hook "$1" || return 0
    is_hook "$FILTER" && [ "${FILTER%/*}" = "${1%/*}" ] && return
    detach_hook "${1%/*}"
}

describe_filter() {
    local path="${FILTER%:*}"
    case $(stat -c %i "$path" 2>/dev/null) in
    "${FILTER##*:}")
        if is_hook "$FILTER" && ! is_attached "${path%/*}"; then
            echo "  filter       $path, which is NOT ATTACHED any more: 'up' attaches it"
        else
            echo "  filter       $path"
        fi
        ;;
    '') echo "  filter       $path, which is NO LONGER PINNED: 'up' takes it out" ;;
    *) echo "  filter       $path, an OLD one: tcpknock-server has pinned another, and 'up' puts it in" ;;
    esac
}

# --- connections from before `up` --------------------------------------------------------------------------------
# Whoever installs this over ssh must not be cut off. So every connection to the ports that is established when `up`
# runs is marked verified, before the first rule is in place. This opens nothing: a mark belongs to one connection.

# Prints "client port server port" of the established connections that connection tracking knows.
tracked_connections() { # FAMILY PORT [FILTER...]
    local family=ipv4 port="$2"
    [ "$1" = 4 ] || family=ipv6
    shift 2
    conntrack -L -f "$family" -p tcp --dport "$port" "$@" 2>/dev/null | awk '
        $4 !~ /^(ESTABLISHED|FIN_WAIT|CLOSE_WAIT|LAST_ACK)$/ || /\[UNREPLIED\]/ { next }
        {
            split("", field)
            for (i = 5; i <= NF; i++) {  # the first of each is the direction of the client
                n = index($i, "="); name = substr($i, 1, n - 1)
                if (n && !(name in field)) field[name] = substr($i, n + 1)
            }
            print field["src"], field["sport"], field["dst"], field["dport"]
        }'
}

# Prints the same for the sockets of this host: connection tracking may have been idle until now and know none.
socket_connections() { # FAMILY PORT
    ss -Htn state established state fin-wait-1 state fin-wait-2 state close-wait state last-ack state closing \
        "sport = :$2" | awk -v family="$1" '
        function address(text) { # without port, brackets, interface and the mapping of IPv4 into IPv6
            sub(/:[0-9]+$/, "", text); gsub(/[][]/, "", text); sub(/%.*/, "", text)
            if (text ~ /^::ffff:[0-9]+\./) sub(/^::ffff:/, "", text)
            return text
        }
        function port(text) { sub(/.*:/, "", text); return text }
        { server = address($4); client = address($5) }
        client ~ /^127\./ || client == "::1" { next }  # our rules never see lo
        (client ~ /:/ ? 6 : 4) == family { print client, port($5), server, port($4) }'
}

set_connection_mark() { # CLIENT PORT SERVER PORT
    conntrack -U -p tcp -s "$1" --sport "$2" -d "$3" --dport "$4" -m "$MARK/$MARK" >/dev/null 2>&1
}

# Marks a connection that connection tracking has no entry for by giving it one.
track_connection() { # CLIENT PORT SERVER PORT
    conntrack -I -p tcp -s "$1" --sport "$2" -d "$3" --dport "$4" \
        --state ESTABLISHED -u ASSURED -t 432000 -m "$MARK" >/dev/null 2>&1
}

# Marks a connection however it can be. The third try is for an entry that came into being between the first two.
mark_connection() { # CLIENT PORT SERVER PORT
    set_connection_mark "$@" || track_connection "$@" || set_connection_mark "$@"
}

# Marks the established connections to the given ports, and sets KEPT to their number.
keep_established() { # PORT...
    local port family client client_port server server_port
    for family in $FAMILIES; do
        : >"$WORK/tuples"
        for port; do
            tracked_connections "$family" "$port" >>"$WORK/tuples"
            socket_connections "$family" "$port" >"$WORK/sockets"
            cat "$WORK/sockets" >>"$WORK/tuples"
            # Connection tracking knows neither the beginning nor the window scale of a connection that it did not
            # see from the start, and may forget it after five idle minutes. So local ones have a rule each, by the
            # exact addresses and ports of both ends, that marks them again when next seen, from either side. It
            # is reached only by a segment without SYN that begins an entry, and a connection through the knock
            # begins with a SYN: so this lets no new one in.
            while read -r client client_port server server_port; do
                echo "-A $OWN-KEPT -s $client -d $server -p tcp -m tcp --sport $client_port --dport $server_port -j CONNMARK --set-xmark $MARK/$MARK"
                echo "-A $OWN-KEPT -s $server -d $client -p tcp -m tcp --sport $server_port --dport $client_port -j CONNMARK --set-xmark $MARK/$MARK"
            done <"$WORK/sockets" >>"$WORK/kept.$family"
        done
        sort -u "$WORK/tuples" >"$WORK/unique"
        # shellcheck disable=SC2086,SC2162 # four words
        while read -r client client_port server server_port; do
            mark_connection "$client" "$client_port" "$server" "$server_port" && KEPT=$((KEPT + 1))
        done <"$WORK/unique"
    done
}

# Carries over what the rules in place know, when `up` replaces them: connections that are verified by the mark of
# before, and the rules of KEPT.
keep_verified() { # OLD_MARK OLD_PORTS
    local family port
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

# --- confirmation ------------------------------------------------------------------------------------------------
# `up --confirm` leaves a watcher behind that runs `down` in time. It starts before the rules go in and belongs to no
# terminal, so it does its work when the rules have cut off the one who ran it. What is pending is a file, named after
# the network namespace, that holds a token; the watcher acts only on its own token.

pending_file() { echo "$STATE/confirm.$(readlink /proc/self/ns/net | tr -dc 0-9)"; }

start_watcher() { # SECONDS
    local token
    token=$(cat /proc/sys/kernel/random/uuid)
    echo "$token" >"$(pending_file)"
    # Without the lock (9), and without the terminal.
    setsid "$(readlink -f -- "$0")" --watch-confirmation "$token" "$1" "$BACKEND" \
        </dev/null >/dev/null 2>&1 9>&- &
}

cancel_watcher() { rm -f "$(pending_file)"; } # it looks every second, and leaves when its token is gone

watch_confirmation() { # TOKEN SECONDS BACKEND
    local left="$2" token
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
    logger -t tcpknock "server.sh up was not confirmed within $2 seconds: taking the rules down" 2>/dev/null
    remove_all
    exit
}

# --- the commands ------------------------------------------------------------------------------------------------

up() {
    local old_ports='' old_mark='' old_queue='' old_filter='' new_ports family
    local wanted_ports="$PORTS" wanted_queue="$QUEUE" wanted_mark="$MARK" wanted_failure="$ON_FAILURE"
    local wanted_sets wanted_filter
    KEPT=0
    choose_filter
    wanted_filter=$FILTER
    make_sets
    wanted_sets=$SETS
    KEEPING=$(noted keeping)
    if [ "$(state)" = up ]; then
        cancel_watcher
        echo "tcpknock server rules are already up like this: $(describe)"
        [ -z "$CONFIRM" ] || start_watcher "$CONFIRM"
        say_confirm
        return
    fi
    if read_configuration; then
        old_ports=$PORTS old_mark=$MARK old_queue=$QUEUE old_filter=$FILTER
    fi
    PORTS=$wanted_ports QUEUE=$wanted_queue MARK=$wanted_mark SETS=$wanted_sets FILTER=$wanted_filter
    ON_FAILURE=$wanted_failure

    ( refuse_unreadable ) || undo_filter "$old_queue" "$old_filter" "$old_ports"
    cancel_watcher
    [ -z "$CONFIRM" ] || start_watcher "$CONFIRM"
    # What is established is kept only where no rules were so far. Behind rules, what is not verified has no right to
    # be there.
    new_ports=''
    for port in $PORTS; do
        case " $old_ports " in *" $port "*) ;; *) new_ports="$new_ports $port" ;; esac
    done
    [ -z "$old_ports" ] || keep_verified "$old_mark" "$old_ports"
    # shellcheck disable=SC2086 # a list of ports
    keep_established $new_ports
    KEEPING=''
    for family in $FAMILIES; do [ ! -s "$WORK/kept.$family" ] || KEEPING=yes; done
    if ! put_all_or_without_filter; then
        cancel_watcher
        undo_filter "$old_queue" "$old_filter" "$old_ports"
    fi
    [ "$(state)" = up ] || die $EX_FAILED "the rules went in, but what is there now is not what was put in;" \
        "'${0##*/} status' shows it"
    leave_filter "$old_filter"
    if [ -n "$old_queue" ] && [ "${QUEUE%%:*}" != "${old_queue%%:*}" ]; then
        QUEUE=$old_queue
        destroy_sets
        QUEUE=$wanted_queue
    fi
    echo "tcpknock server rules are up: $(describe)"
    [ "$KEPT" -eq 0 ] || echo "kept: $KEPT connection(s) that were established before"
    queue_owner "$QUEUE" >/dev/null ||
        echo "note: no process listens to queue $QUEUE; until tcpknock-server does, $WITHOUT_DAEMON"
    say_confirm
}

# Leaves, with sets and kernel filter as they were.
undo_filter() { # OLD_QUEUE OLD_FILTER OLD_PORTS
    local wanted_filter="$FILTER"
    [ "${QUEUE%%:*}" = "${1%%:*}" ] || destroy_sets
    FILTER=$2 PORTS=$3
    leave_filter "$wanted_filter"
    ! is_hook "$FILTER" || attach_hook "${FILTER%/*}"
    exit $EX_FAILED
}

# The match for such programs is a module of its own, of the kernel and of iptables.
put_all_or_without_filter() {
    put_all && return
    [ -n "$FILTER" ] && ! is_hook "$FILTER" && [ "$KERNEL_FILTER" = auto ] || return
    FILTER=''
    put_all || return
    echo "note: that was because of the kernel filter, so it is not used"
}

say_confirm() {
    [ -z "$CONFIRM" ] || echo "the rules come down again in $CONFIRM seconds unless you run: $0 confirm"
}

# Connection marks are left as they are. They mean nothing without the rules, and another `up` marks whatever is
# established at that time in any case, while what begins later begins with a SYN, which clears the mark.
down() {
    cancel_watcher
    if [ -z "$IN_USE" ]; then
        # Somebody else may have taken the rules away, who knew nothing of the filter.
        if detach_all; then
            echo "tcpknock server rules are not up; a kernel filter that was still attached is not any more"
        else
            echo "tcpknock server rules are not up: nothing to do"
        fi
        return
    fi
    remove_all || die $EX_FAILED "some rules could not be removed; see above"
    echo "tcpknock server rules are down"
}

remove_all() {
    read_configuration
    take_down || return
    destroy_sets
    ! is_hook "$FILTER" || detach_hook "${FILTER%/*}"
}

confirm() {
    [ -e "$(pending_file)" ] || die $EX_FAILED "nothing waits for a confirmation"
    [ -n "$IN_USE" ] || die $EX_FAILED "there is nothing to confirm: the rules are not up"
    cancel_watcher
    echo "confirmed: the tcpknock server rules stay up"
}

if [ "${1-}" = --watch-confirmation ]; then # only from start_watcher
    shift
    watch_confirmation "$@"
fi
parse_command_line 'up down status confirm' "$@"
require_root
require_tools awk mawk flock util-linux
[ -z "$CONFIRM" ] || require_tools setsid util-linux
[ "$COMMAND" != up ] || require_tools conntrack conntrack ss iproute2
begin
choose_backend
case $COMMAND in
up) up ;;
down) down ;;
confirm) confirm ;;
status)
    [ ! -e "$(pending_file)" ] || [ -n "$JSON" ] || echo "waiting for 'server.sh confirm', else the rules come down"
    show_status
    ;;
esac
