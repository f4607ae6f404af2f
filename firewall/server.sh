#!/bin/sh
# shellcheck disable=SC3043
# The rules of a host, or of a gateway to hosts (--protect), whose TCP ports are hidden behind a knock.
#
#   wire -> raw PREROUTING --- cannot be a knock: dropped before it costs anything; so is a SYN with a wrong code,
#                |             where tcpknock-server has a filter in the kernel
#                \-> mangle PREROUTING --- verified connection --------------------------> socket, or forwarded
#                             \-- else -> queue -> tcpknock-server -> the same once more, past all other rules ->
#
# After all tables, where the kernel can do that, stands the gate of the kernel filter. It lets nothing in that is not
# verified, for the time in which another program has flushed these rules.
#
#   wire <- mangle POSTROUTING <- queue <- SYN/ACKs of the protected ports
#
# What constant bytes decide is dropped in the raw table, before connection tracking makes an entry for it. The rest is
# in the mangle table: its PREROUTING comes after connection tracking, which we need to know the connection, and its
# POSTROUTING after connection tracking has seen the true sequence number of our SYN/ACK.
# What the daemon accepts goes through the table that queued it once more (NF_REPEAT), with the packet mark set, so that
# every other rule there sees it as if we were not here.
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
FLAGS='--target-port --queue-num --mark --on-failure --iptables --kernel-filter --pin-folder --confirm --instance --flags-from --protect --exempt'
SWITCHES='--json --keep-established --drop-ports'
# Of the guard.
SWITCHES="$SWITCHES --report --tell --put-back"
COMMANDS='up down status confirm guard'
PORTS_DEFAULT=22
QUEUE_DEFAULT=100
# One bit. In a packet mark: the daemon has accepted this packet (or, on its way to the daemon: it meets a verified
# connection). In a connection mark: verified. This one does not meet those of kube-proxy (0x4000, 0x8000),
# Cilium (0x0f00 and the upper 16), Calico (0xffff0000), Tailscale (0xff0000), wg-quick (0xca6c), Mullvad
# (0x6d6f6c65), Weave (0x20000) or the AWS VPC plug-in (0x80).
MARK_DEFAULT=0x1000
KERNEL_FILTER=auto
PIN_FOLDER=/sys/fs/bpf/tcpknock
FLAGS_FAILED=''
GATE_IS_OPEN='the kernel filter has no gate: while another program has flushed the rules, a right code alone is enough'
use_defaults() { PORTS=$PORTS_DEFAULT QUEUE=$QUEUE_DEFAULT MARK=$MARK_DEFAULT ON_FAILURE=drop PROTECT=own EXEMPT=''; }
use_defaults
WITHOUT_DAEMON='nobody can open a new connection to the target ports'

# The rules of another instance are the same under other names. No name is the beginning of another's: _ is in none.
set_instance() { # NAME
    case $1 in '' | -* | *[!A-Za-z0-9-]* | ???????????*)
        die $EX_USAGE "--instance: '$1' is not a name; give 1 to 10 letters, digits and -, not beginning with -" ;;
    esac
    INSTANCE=$1
    OWN=TCPKNOCK-${1}_
    GROWING=$OWN-KEPT
}

# What --protect and --exempt name: an address or prefix, or all that comes in by an interface; --protect also what is
# addressed to this host itself.
set_place() { # FLAG VALUE
    case $1:$2 in
    --protect:own) ;;
    *:interface:*) is_interface "${2#interface:}" || die $EX_USAGE \
        "$1: '${2#interface:}' is not a name of an interface; give 1 to 15 letters, digits and the characters . _ -" ;;
    *) is_prefix "$2" || die $EX_USAGE \
        "$1: '$2' is not known; give $([ "$1" = --exempt ] || echo own,) an address, a prefix such as 10.0.0.0/24," \
        "or interface:NAME" ;;
    esac
    case $1 in
    --protect) GIVEN_PROTECT="$GIVEN_PROTECT $2" ;;
    --exempt) GIVEN_EXEMPT="$GIVEN_EXEMPT $2" ;;
    esac
}

usage() {
    cat <<EOF
Usage: server.sh up      [--target-port N ...] [--protect WHAT ...] [--exempt WHOM ...]
                         [--queue-num N] [--mark BIT] [--iptables auto|nft|legacy] [--kernel-filter auto|on|hook|rule|off] [--pin-folder PATH]
                         [--on-failure drop|reset] [--confirm SECONDS] [--instance NAME] [--flags-from PROGRAM]
                         [--keep-established] [--drop-ports]
       server.sh confirm [--instance NAME]
       server.sh status  [--instance NAME] [--iptables auto|nft|legacy] [--json]
       server.sh down    [--instance NAME] [--iptables auto|nft|legacy] [--pin-folder PATH]
       server.sh guard   [--instance NAME] [--tell]

The firewall rules for tcpknock-server, for IPv4 and IPv6. New connections to the target ports need the knock;
connections that are established when 'up' protects a port for the first time are kept, later only what is verified.
Without the daemon nobody gets in (fail closed).

  up        puts the rules in; run again with other values it replaces them without a gap, with the same it changes
            nothing, but that it puts its own first again if those of another program stand before them
  confirm   keeps the rules that 'up --confirm' put in
  status    says what is there, with --json for programs; exit status 0: up, 3: down, 1: only partly there
  down      takes the rules out and leaves everything else as it was
  guard     looks every second whether the rules that 'up' put in are still whole, and puts them back if another
            program took some away, or restored older ones; runs until it is told to end. 'down' is obeyed. tcpknock-server does the same by
            itself while it runs.

  --target-port N     a TCP port to protect; may be given several times (default $PORTS)
  --protect WHAT      whose ports these are; may be given several times. own (default): this host's; what it forwards
                      or bridges for others needs no knock. An address or prefix, such as 10.0.0.0/24: those of hosts
                      behind this one. interface:NAME: all that comes in there
  --exempt WHOM       who needs no knock: an address or prefix, or interface:NAME for all that comes in there; may be
                      given several times. A connection that began so ends when its exemption does
  --queue-num N       the queue that tcpknock-server listens to (default $QUEUE); FIRST:LAST for several
  --mark BIT          the one bit, in packet and connection marks, that means verified (default $MARK);
                      tcpknock-server must be given the same
  --iptables WHICH    auto (default): the one in which the rules are, else what 'iptables' is on this system
  --kernel-filter WHICH
                      auto (default): let the program that tcpknock-server has put into the kernel drop SYNs with
                      wrong codes, if it has, and the kernel can attach it to the network (Linux 6.4 and later);
                      hook: fail if not; rule: let a rule ask it; on: hook, or else rule; off: do not
  --pin-folder PATH   where tcpknock-server pins that program (default $PIN_FOLDER)
  --on-failure WHAT   drop (default): who does not know the knock gets no answer, as from behind a firewall; reset: a
                      RST, as from a closed port, for which tcpknock-server must be given the same
  --flags-from PROGRAM
                      run 'PROGRAM --firewall-flags' and take the flags that it prints. If it fails, so does 'up': rules
                      that are up stay as they are; where none are, the ports of the last good 'up' are protected, or
                      port $PORTS if there was none
  --instance NAME     rules of their own for another tcpknock-server on this host, with other ports and another queue;
                      a name has 1 to 10 letters, digits and -
  --keep-established  keep all connections that are established now; the default only for ports that no 'up' before
                      has protected
  --drop-ports        protect fewer ports than now, or for fewer hosts; without it 'up' refuses that
  --tell              guard only says what is missing, and puts nothing back
  --confirm SECONDS   take the rules down again unless 'server.sh confirm' was run within this time
  -h, --help          this text

'down', 'status' and 'confirm' find the values in the rules themselves and need no flags. (If somebody has taken the
rules away, 'down' looks in the pin folder for a kernel filter that is still attached.)

For the kernel filter, start tcpknock-server before 'up' (which waits for it if it has just been started), or run 'up'
again then. A filter that is attached to the network has a gate behind all rules, so that nobody gets in either while
another program has flushed them; open connections wait until they are back. With '--kernel-filter rule', rules that
were saved by iptables-save can be restored only while the program is pinned, so not at boot, nor can anybody else's in
the same table. Without it they can be restored anywhere.
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

# --- whose ports these are, and who needs no knock
# Established segments must not pay for it, so the hooks ask for the port alone, and these rules stand in our chains,
# behind what passes such segments. (Those of exempt connections, which nobody marks, walk to them each time.)

# Prints the match of a place, which is the destination (-d) or the source (-s) of packets that come in (-i) or go out
# (-o); nothing if it is everywhere. False if it is of the other family.
match_of() { # FAMILY PLACE -d|-s -i|-o
    case $2 in
    own) if [ "$3" = -d ]; then echo "-m addrtype --dst-type LOCAL"; else echo "-m addrtype --src-type LOCAL"; fi ;;
    interface:*) echo "$4 ${2#interface:}" ;;
    *)
        case $2 in *:*) [ "$1" = 6 ] ;; *) [ "$1" = 4 ] ;; esac || return 1
        case $2 in
        */0) ;;
        */*) echo "$3 $2" ;;
        *:*) echo "$3 $2/128" ;;
        *) echo "$3 $2/32" ;;
        esac
        ;;
    esac
}

# Prints the rules by which only what is protected, of who is not exempt, goes on: in the same chain, or in the one that
# `behind_scope` names. One place takes one rule; several take a chain behind, to go to from each.
scope_rules() { # FAMILY CHAIN, IN and RAW for what comes in, or OUT
    local place match to=-d from=-s interface=-i
    [ "$2" != OUT ] || to=-s from=-d interface=-o
    for place in $EXEMPT; do
        match=$(match_of "$1" "$place" $from $interface) || continue
        echo "-A $OWN-$2${match:+ $match} -j RETURN"
    done
    case $PROTECT in
    '') ;; # rules of before there were places
    own)
        match=$(match_of "$1" own $to $interface)
        echo "-A $OWN-$2 $(echo "$match" | sed 's/--/! --/') -j RETURN"
        ;;
    *)
        for place in $PROTECT; do
            match=$(match_of "$1" "$place" $to $interface) || continue
            echo "-A $OWN-$2${match:+ $match} -g $(behind_scope "$2")"
        done
        ;;
    esac
}

behind_scope() { # CHAIN
    case $PROTECT:$1 in
    own:* | :*) echo "$OWN-$1" ;;
    *:RAW) echo "$OWN-SIFT" ;;
    *:IN) echo "$OWN-JUDGE" ;;
    *:OUT) echo "$OWN-MASK" ;;
    esac
}

wanted_raw_rules() { # FAMILY
    local port empty_ack sift
    sift=$(behind_scope RAW)
    # Nobody else's mark stands for the daemon's.
    for port in $PORTS; do
        echo "-A PREROUTING -p tcp -m tcp --dport $port -m mark --mark $MARK/$MARK -j $OWN-UNMARK"
    done
    echo "-A $OWN-UNMARK -j MARK --set-xmark 0x0/$MARK"
    if [ "$ON_FAILURE" = reset ]; then
        # The daemon's RSTs come with the mark. To connection tracking they are nothing: whoever is refused in the name
        # of a client must not end what that client has.
        for port in $PORTS; do
            echo "-A OUTPUT -p tcp -m tcp --sport $port --tcp-flags SYN,RST RST -m mark --mark $MARK/$MARK -j $OWN-RST"
        done
        echo "-A $OWN-RST -j CT --notrack"
        echo "-A $OWN-RST -j MARK --set-xmark 0x0/$MARK"
        return 0
    fi
    # The ack field of a SYN is 0. In IPv4 the TCP header comes after 4 * IHL bytes; in IPv6 after 40, if TCP is the
    # next header. (Behind extension headers it is not found here, and the daemon decides.)
    case $1 in
    4) empty_ack='0x0>>0x16&0x3c@0x8=0x0' ;;
    6) empty_ack='0x3&0xff=0x6&&0x30=0x0' ;;
    esac

    for port in $PORTS; do
        echo "-A PREROUTING -p tcp -m tcp --dport $port ! --tcp-flags SYN,RST,ACK ACK -j $OWN-RAW"
    done
    # No rule needs what lives outside of the rules, such as an address set: where they are restored from what
    # iptables-save wrote, at boot, that is missing, and then the whole table with everybody's rules is, too.
    # RAW: what needs no second look. The segments of a connection, nearly all of them with ACK and without SYN and
    # RST, do not come here. FIN,SYN,RST,ACK is the mask: of these flags, SYN alone.
    # 1. What this host sends to itself needs no knock, nor does who is exempt, and what is not protected.
    # 2. The program that the daemon has put into the kernel knows which codes are wrong. It comes first of the rest,
    #    because a flood of them is what it is for; and it looks at flags itself, which saves a match.
    # 3. A SYN with an empty ack field knows nothing of knocking; every scanner ends here.
    # 4. Any other SYN alone may be a knock. A SYN with FIN, RST or ACK comes from no client;
    #    and what has neither SYN nor ACK nor RST belongs to nothing.
    echo "-A $OWN-RAW -i lo -j RETURN"
    scope_rules "$1" RAW
    [ -z "$FILTER" ] || is_hook "$FILTER" ||
        echo "-A $sift -m bpf --object-pinned ${FILTER%:*} -j DROP"
    cat <<EOF
-A $sift -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m u32 --u32 $empty_ack -j DROP
-A $sift -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j RETURN
-A $sift -p tcp -m tcp --tcp-flags SYN SYN -j DROP
-A $sift -p tcp -m tcp --tcp-flags RST,ACK NONE -j DROP
EOF
}

wanted_mangle_rules() { # FAMILY
    local port to_queue="-j NFQUEUE --queue-num $QUEUE" judge mask
    judge=$(behind_scope IN) mask=$(behind_scope OUT)
    # Of several queues, the kernel chooses one by both addresses, so each sees both directions of what it judges.
    case $QUEUE in *:*) to_queue="-j NFQUEUE --queue-balance $QUEUE" ;; esac

    for port in $PORTS; do
        cat <<EOF
-A PREROUTING -p tcp -m tcp --dport $port -j $OWN-IN
-A POSTROUTING -p tcp -m tcp --sport $port --tcp-flags SYN,ACK SYN,ACK -j $OWN-OUT
EOF
        [ -z "$KEEPING" ] ||
            echo "-A POSTROUTING -p tcp -m tcp --sport $port --tcp-flags SYN NONE" \
                "-m conntrack --ctstate NEW -j $OWN-KEPT"
    done

    # IN: who comes in.
    # 1. Verified connections pass and never leave the kernel again. Not so their SYNs: a SYN is always a knock.
    # 2. What the daemon has accepted passes.
    # 3. What this host sends to itself needs no knock. (Not asked in the hooks above: to compare the name of an
    #    interface costs more than all else there, and every segment of a connection would pay for it.)
    # 4. Who is exempt, and what is not protected, is none of our business.
    # 5. Connections from before `up` that connection tracking has no entry for get their mark, and pass.
    # 6. What else begins in the middle has no handshake that could be judged. (The answer to a SYN/ACK is not new.)
    # 7. The daemon is told which SYNs meet a verified connection. They do not change it.
    # 8. All else is the daemon's. There is no --queue-bypass: without the daemon nobody gets in.
    cat <<EOF
-A $OWN-IN -p tcp -m tcp --tcp-flags SYN NONE -m connmark --mark $MARK/$MARK -j RETURN
-A $OWN-IN -m mark --mark $MARK/$MARK -g $OWN-DONE
-A $OWN-IN -i lo -j RETURN
EOF
    scope_rules "$1" IN
    [ -z "$KEEPING" ] || cat <<EOF
-A $judge -p tcp -m tcp --tcp-flags SYN NONE -m conntrack --ctstate NEW -j $OWN-KEPT
-A $judge -p tcp -m tcp --tcp-flags SYN NONE -m connmark --mark $MARK/$MARK -j RETURN
EOF
    [ "$ON_FAILURE" = reset ] ||
        echo "-A $judge -p tcp -m tcp --tcp-flags SYN NONE -m conntrack --ctstate NEW -j DROP"
    echo "-A $judge -m connmark --mark $MARK/$MARK -j MARK --set-xmark $MARK/$MARK"
    echo "-A $judge $to_queue"

    # OUT: the SYN/ACKs, whose sequence number the daemon encrypts.
    # (That of a port which this host publishes for another one still has the other one's address here.)
    echo "-A $OWN-OUT -m mark --mark $MARK/$MARK -g $OWN-DONE"
    echo "-A $OWN-OUT -o lo -j RETURN"
    scope_rules "$1" OUT
    # One that connection tracking has no entry for (it has forgotten it since the SYN) would lead nowhere: the third ACK
    # would not be known either. Without it the client repeats its SYN, which begins a new entry.
    echo "-A $mask -m conntrack --ctstate INVALID -j DROP"
    echo "-A $mask -m connmark --mark $MARK/$MARK -j MARK --set-xmark $MARK/$MARK"
    echo "-A $mask $to_queue"

    # DONE: what the daemon has accepted.
    # 1. Of segments it accepts those of verified connections, so this is where one becomes that. A SYN, a SYN/ACK and a
    #    RST verify nothing.
    # 2. The packet mark has done its work. Routing comes later, and never sees it.
    cat <<EOF
-A $OWN-DONE -p tcp -m tcp --tcp-flags SYN,RST NONE -j CONNMARK --set-xmark $MARK/$MARK
-A $OWN-DONE -j MARK --set-xmark 0x0/$MARK
EOF

    # KEPT: see keep_established. Empty but for connections from before `up`.
    echo ":$OWN-KEPT - [0:0]"
    [ ! -e "$WORK/kept.$1" ] || cat "$WORK/kept.$1"
}

# --- address sets ------------------------------------------------------------------------------------------------
# Rules of earlier versions matched address sets. They go with those rules.

destroy_sets() {
    local family set _
    command -v ipset >/dev/null || return 0
    for family in $FAMILIES; do
        set=tcpknock-${QUEUE%%:*}-$family
        # iptables-nft lets go of a set some time after the rule is gone.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            ipset list -n "$set" >/dev/null 2>&1 || break
            ipset destroy "$set" 2>/dev/null && break
            sleep 0.1
        done
    done
}

# --- the kernel filter -------------------------------------------------------------------------------------------
# tcpknock-server pins a program that tells wrong codes from right ones, and where the kernel has such, one that can be
# attached to the network itself: `tcpknock kernel-filter` does that, and pins the links beside it. A rule, or a link,
# holds the program and not its path: if another one is pinned there later, it must be made anew. So the notes have the
# number of the file, too. With the latter comes the gate: a program behind all rules that lets only what they have
# verified pass, and beginnings that have been through connection tracking.

# Whether it is the program that is attached by links, and no rule asks it.
is_hook() { case $1 in */syn_code_hook:*) ;; *) return 1 ;; esac } # FILTER

# Whether both links of the filter are there.
is_attached() { # FOLDER
    [ -e "$1/link-ipv4" ] && [ -e "$1/link-ipv6" ]
}

# Prints what the programs must know of PORTS, PROTECT and EXEMPT; in rules of before there were places, all is
# protected.
filter_scope() {
    local word
    for word in $PORTS; do echo "--target-port $word"; done
    for word in ${PROTECT:-0.0.0.0/0 ::/0}; do echo "--protect $word"; done
    for word in $EXEMPT; do echo "--exempt $word"; done
}

# Attaches the program in a folder for what is protected, if there is one and it can be.
attach_hook() { # FOLDER
    [ -e "$1/syn_code_hook" ] || return
    # shellcheck disable=SC2046 # flags are words
    tcpknock_tool kernel-filter attach --folder "$1" $(filter_scope) 2>"$WORK/attach"
}

# Closes the gate behind the attached filter, when the rules are in that mark connections.
close_gate() {
    is_hook "$FILTER" || return 0
    # shellcheck disable=SC2046 # flags are words
    tcpknock_tool kernel-filter close-gate --folder "${FILTER%/*}" --mark "$MARK" $(filter_scope) 2>"$WORK/gate" ||
        echo "note: $GATE_IS_OPEN: $(cat "$WORK/gate")"
}

is_gate_closed() { # FOLDER
    [ -e "$1/link-in-ipv4" ] && [ -e "$1/link-in-ipv6" ] &&
        [ -e "$1/link-forward-ipv4" ] && [ -e "$1/link-forward-ipv6" ]
}

detach_hook() { rm -f "$1"/link-*; } # FOLDER

# Detaches the programs of all queues of this network namespace; false if none was attached.
detach_all() {
    local link found=1
    for link in "$PIN_FOLDER/$(stat -L -c %i /proc/self/ns/net)"-*/link-*; do
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

# Waits until a tcpknock-server that has just been started has pinned its programs, or has decided to go without: then it
# has no rights left but CAP_NET_ADMIN.
await_filter() { # PATH
    local owner tries=30
    while [ ! -e "$1" ] && [ $tries -gt 0 ] && owner=$(queue_owner "$QUEUE") &&
        awk '/^CapEff:/ { exit $2 == "0000000000001000" }' "/proc/$owner/status" 2>/dev/null; do
        sleep 0.1
        tries=$((tries - 1))
    done
}

say_without_filter() {
    if queue_owner "$QUEUE" >/dev/null; then
        echo "note: tcpknock-server has put no filter into the kernel, as its log says, so the rules go without"
    else
        echo "note: the rules go without a kernel filter; for one, run 'up' again when tcpknock-server runs"
    fi
}

why_no_hook() { # PATH
    if [ -e "${1}_hook" ]; then
        tr '\n' ' ' <"$WORK/attach" | sed 's/ *$//'
    else
        echo "there is none at ${1}_hook, and the log of tcpknock-server says why; it takes Linux 6.4 or later"
    fi
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
    await_filter "$path"
    if [ ! -e "$path" ]; then
        [ "$KERNEL_FILTER" != auto ] || { say_without_filter && return 0; }
        die $EX_FAILED "--kernel-filter $KERNEL_FILTER: there is no program at $path; tcpknock-server puts it there," \
            "so start that first; nothing was changed"
    fi
    # A rule that asks the program cannot be restored by iptables-restore while the program is not pinned, so at boot,
    # and with it no other rule of the table. So it must be asked for.
    if [ "$KERNEL_FILTER" != rule ] && attach_hook "${path%/*}"; then
        path=${path}_hook
    elif [ "$KERNEL_FILTER" = auto ]; then
        echo "note: the kernel filter is not used, for it cannot be attached to the network here:" \
            "$(why_no_hook "$path"); '--kernel-filter rule' asks it by a rule"
        return 0
    elif [ "$KERNEL_FILTER" = hook ]; then
        die $EX_FAILED "--kernel-filter hook: the program cannot be attached: $(why_no_hook "$path"); nothing was changed"
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
            ! is_hook "$FILTER" || is_gate_closed "${path%/*}" || echo "  WARNING      $GATE_IS_OPEN"
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
    conntrack -L -f "$family" -p tcp --dport "$port" "$@" 2>/dev/null | awk -v any="${ANY_STATE-}" '
        !any && ($4 !~ /^(ESTABLISHED|FIN_WAIT|CLOSE_WAIT|LAST_ACK)$/ || /\[UNREPLIED\]/) { next }
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
socket_connections() { # FAMILY PORT [cookie]
    ss -Htne state established state fin-wait-1 state fin-wait-2 state close-wait state last-ack state closing \
        "sport = :$2" 2>/dev/null | awk -v family="$1" -v cookie="${3-}" '
        function address(text) { # without port, brackets, interface and the mapping of IPv4 into IPv6
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

# Marks a connection that connection tracking has no entry for by giving it one.
track_connection() { # CLIENT PORT SERVER PORT
    conntrack -I -p tcp -s "$1" --sport "$2" -d "$3" --dport "$4" \
        --state ESTABLISHED -u ASSURED -t 432000 -m "$MARK" >/dev/null 2>&1
}

# Marks a connection however it can be. The third try is for an entry that came into being between the first two.
mark_connection() { # CLIENT PORT SERVER PORT
    set_connection_mark "$@" || track_connection "$@" || set_connection_mark "$@"
}

kept_rules() { # CLIENT PORT SERVER PORT
    local bits=32
    case $1 in *:*) bits=128 ;; esac
    echo "-A $OWN-KEPT -s $1/$bits -d $3/$bits -p tcp -m tcp --sport $2 --dport $4 -j CONNMARK --set-xmark $MARK/$MARK"
    echo "-A $OWN-KEPT -s $3/$bits -d $1/$bits -p tcp -m tcp --sport $4 --dport $2 -j CONNMARK --set-xmark $MARK/$MARK"
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
                kept_rules "$client" "$client_port" "$server" "$server_port"
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

# Prints "client port server port cookie" of the sockets of this host; the kernel gives no cookie twice.
socket_cookies() { # FAMILY PORT...
    local family="$1" port
    shift
    for port; do socket_connections "$family" "$port" cookie; done
}

# Prints the connections that connection tracking has marked verified.
marked_connections() { # FAMILY PORT...
    local family="$1" port
    shift
    # In whatever state: a mark counts in each.
    local ANY_STATE=yes
    for port; do tracked_connections "$family" "$port" -m "$MARK/$MARK"; done
}

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# Prints what the record of connections says, if it is of this boot: "KIND FAMILY CLIENT PORT SERVER PORT COOKIE" for
# each connection, and "down" if `down` wrote it.
recorded_connections() {
    local file
    file=$(record connections)
    [ -e "$file" ] && [ "$(head -n 1 "$file")" = "$(boot_id)" ] && sed 1d "$file"
}

# Writes down which sockets have a rule in KEPT, so that another `up` can give it back when somebody took it away.
record_kept() {
    local family
    for family in $FAMILIES; do
        [ -s "$WORK/kept.$family" ] || continue
        # shellcheck disable=SC2086 # a list of ports
        socket_cookies "$family" $PORTS >"$WORK/cookies"
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

# Writes down which sockets were verified when `down` took the rules away. Nobody clears the marks of connection
# tracking while they are away, but a new socket may meet an old mark: only these are believed by the next `up`.
record_verified() {
    local family
    recorded_connections | grep '^kept '
    for family in $FAMILIES; do
        # shellcheck disable=SC2086 # a list of ports
        marked_connections "$family" $PORTS >"$WORK/marked"
        # shellcheck disable=SC2086 # a list of ports
        socket_cookies "$family" $PORTS | awk -v family="$family" '
            FILENAME == ARGV[1] { marked[$0] = 1; next }
            $1 " " $2 " " $3 " " $4 in marked { print "verified " family " " $0 }' "$WORK/marked" -
    done
    echo down
}

# For ports that an `up` before has protected: keeps the connections that were verified then, and no others, and says
# which it does not keep.
keep_recorded() { # PORT...
    local family kind client client_port server server_port
    : >"$WORK/left-out"
    recorded_connections >"$WORK/recorded"
    for family in $FAMILIES; do
        socket_cookies "$family" "$@" >"$WORK/cookies"
        marked_connections "$family" "$@" >"$WORK/marked"
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
        marked_connections "$family" "$@" >"$WORK/marked"
        cut -d ' ' -f 1-4 "$WORK/cookies" >"$WORK/tuples"
        # What is not addressed to this host goes on anyway.
        [ "$PROTECT" = own ] || for port; do tracked_connections "$family" "$port"; done >>"$WORK/tuples"
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

# --- confirmation ------------------------------------------------------------------------------------------------
# `up --confirm` leaves a watcher behind that runs `down` in time. It starts before the rules go in and belongs to no
# terminal, so it does its work when the rules have cut off the one who ran it. What is pending is a file, named after
# the network namespace, that holds a token; the watcher acts only on its own token.

pending_file() { echo "$STATE/confirm.$(readlink /proc/self/ns/net | tr -dc 0-9)${INSTANCE:+.$INSTANCE}"; }

start_watcher() { # SECONDS
    local token
    token=$(cat /proc/sys/kernel/random/uuid)
    echo "$token" >"$(pending_file)"
    # Without the lock (9), and without the terminal.
    setsid "$(readlink -f -- "$0")" --watch-confirmation "$token" "$1" "$BACKEND" "$INSTANCE" \
        </dev/null >/dev/null 2>&1 9>&- &
}

cancel_watcher() { rm -f "$(pending_file)"; } # it looks every second, and leaves when its token is gone

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
# `nft flush ruleset`, `iptables -F` and firewall services that restart take our rules away with everybody else's. What
# is wanted is on record since `up`, until `down`.
#
# With --report it is the hand of tcpknock-server, which has no right to look at rules or to change them. It looks when it
# reads `look NUMBER`, ends when standard input does, and so with the daemon however that ends, and says one of
#
#   rules NUMBER state=up|partial|down iptables=nft|legacy instance=NAME wanted=yes|no|unconfirmed ports=22,443 whole=22
#       protect=own,10.0.0.0/24 exempt=interface:wg0 closed=22,443 past=22 mended=up|rule rule=iptables-nft -t mangle: ...
#       (all this on one line)
#   unknown NUMBER WHY
#
# for the rules of --queue-num, whichever instance has it: the ports that they are for, and those whose rules are all
# there; those into which the gate of the kernel filter lets nobody, whatever the rules are; and where a rule of another
# program leads past the knock, the ports, whether `up` mends that, and the rule. When it has tried to put rules back it says `say err|notice TEXT`, and then `rules` once more.

# How often to look, and how long to wait after rules could not be put back, in seconds.
GUARD_INTERVAL=1 GUARD_PATIENCE=10

# Waits until it is time to look; sets `number` to that of the request. False at the end.
next_look() {
    if [ -z "$REPORT" ]; then
        sleep $GUARD_INTERVAL
        return
    fi
    read -r _ number || return
    is_number "$number" 0 4294967295 || number=0
}

# Prints all that a change of which makes another look worth while: rules of ours, those of others beside which they are,
# whether the gate of the kernel filter is there, and what people asked for.
guarded() {
    local BACKEND family table
    tables_may_have_changed
    for BACKEND in nft legacy; do
        backend_exists "$BACKEND" || continue
        for family in $FAMILIES; do
            for table in $TABLES; do saved_table "$family" "$table"; done
        done
    done | grep -e '^-A' -e '^:TCPKNOCK-'
    ls "$PIN_FOLDER/$(stat -L -c %i /proc/self/ns/net)"-*/link-* 2>/dev/null
    stat -c '%n %i %Z' "$(records_folder)"/wanted* "${STATE}/confirm".* 2>/dev/null
}

# Prints the names of all instances that there are rules or records of, as their chains begin; the default one first.
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

use_instance() { # OWN, as `instances` prints it
    INSTANCE='' OWN=$1 GROWING=$1-KEPT
    case $1 in *_)
        INSTANCE=${1#TCPKNOCK-}
        INSTANCE=${INSTANCE%_}
        ;;
    esac
}

# Chooses the instance whose rules, or whose last `up`, are for a queue, and its backend. False if there is none.
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

# Prints the ports all of whose rules are there, where not all rules are.
whole_ports() {
    local family table port whole="$PORTS"
    for family in $FAMILIES; do
        for table in $TABLES; do
            missing_rules "$family" "$table" >"$WORK/missing"
            # Somebody has put a rule into our chains, or taken one out that all ports have in common.
            [ -s "$WORK/missing" ] || table_is_as_wanted "$family" "$table" || return
            ! grep -q -- "^-A $OWN-" "$WORK/missing" || return
            for port in $PORTS; do
                grep -Eq -- "--[ds]port $port( |\$)" "$WORK/missing" || echo "$port"
            done >"$WORK/whole"
            # shellcheck disable=SC2086 # a list of ports
            whole=$(printf '%s\n' $whole | grep -xF -f "$WORK/whole")
        done
    done
    echo "$whole"
}

# Prints whether anybody wants the rules that are on record.
wanted() { # SEEN, whether this guard has seen them
    if [ -e "$(pending_file)" ]; then
        echo unconfirmed
    elif [ ! -e "$(record wanted)" ]; then
        echo no
    else
        # The number of a namespace that has ended can be given to another, where nobody has asked for rules.
        case $(records_folder) in "$STATE"/*) [ -n "$1" ] && echo yes || echo no ;; *) echo yes ;; esac
    fi
}

# Prints what there is, as `rules` says it, or leaves with an error. Not while another run changes rules.
look() { # QUEUE SEEN
    (
        exec 9>"$(lock_file)"
        flock -w 30 9 || die $EX_FAILED "another run of these scripts has been busy for 30 seconds"
        tables_may_have_changed
        BACKEND=auto state=down wanted=no ports='' whole='' places=''
        choose_backend
        if [ -z "$REPORT" ] || choose_instance "$1"; then
            wanted=$(wanted "$2")
            if read_configuration || [ -n "$IN_USE" ]; then
                state=$(state) ports=$PORTS
                places="protect=$(printf %s "$PROTECT" | tr ' ' ,) exempt=$(printf %s "$EXEMPT" | tr ' ' ,)"
            fi
        fi
        case $state in up) whole=$ports ;; partial) whole=$(whole_ports) ;; esac
        [ "$state,$wanted" != up,yes ] || is_as_recorded || state=partial
        places="$places closed=$(closed_ports "$1")"
        [ "$state" = down ] || places="$places$(led_past)"
        echo "state=$state iptables=$BACKEND instance=$INSTANCE wanted=$wanted" \
            "ports=$(printf %s "$ports" | tr ' ' ,) whole=$(printf %s "$whole" | tr ' \n' ,,) $places"
    ) 2>"$WORK/look"
}

# Prints the ports into which the gate lets nobody.
closed_ports() { # QUEUE
    local folder
    folder=$PIN_FOLDER/$(stat -L -c %i /proc/self/ns/net)-${1%%:*}
    ! is_gate_closed "$folder" || tcpknock_tool kernel-filter closed --folder "$folder" 2>/dev/null | paste -s -d , -
}

# Prints which ports a rule of another program leads past the knock, how that is mended, and the first such rule.
led_past() {
    local port
    # shellcheck disable=SC2046 # flags are words
    tcpknock_tool bypasses ${INSTANCE:+--instance "$INSTANCE"} --mark "$MARK" \
        $(for port in $PORTS; do echo "--target-port $port"; done) 2>/dev/null | awk '
        !($1 in seen) { ports = ports (ports == "" ? "" : ",") $1; seen[$1] = 1 }
        $2 == "rule" { mended = "rule" }
        NR == 1 { rule = $0; sub(/^[0-9]+ [a-z]+ /, "", rule); mended = $2 }
        END { if (NR) printf " past=%s mended=%s rule=%s", ports, mended, rule }'
}

value_of() { printf '%s\n' "$2" | sed -n "s/.* $1=\([^ ]*\).*/\1/p"; } # NAME LINE

# The cheap look is at what there is of ours; only after a change is it compared with what should be.
guard() {
    local self now line known=unknown seen='' told='' number=0 not_before=0 queue="$QUEUE"
    self=$(readlink -f -- "$0")
    # Who ends the daemon's whole group of processes is not to end a repair that is under way.
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
            case " $line" in *' state=up '*) seen=yes ;; esac
        fi
        [ -z "$REPORT" ] || say_rules "$line"
        # The watcher of `up --confirm` must find what it knows.
        case " $line" in
        *' state=up '*) continue ;;
        *' wanted=yes '*) ;;
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
        put_back "$(value_of instance " $line")" || not_before=$(($(date +%s) + GUARD_PATIENCE))
        if [ -n "$REPORT" ]; then
            now=$(guarded)
            ! line=$(look "$queue" "$seen") || known=$now
            say_rules "$line"
        fi
    done
}

# False if the rules, which are whole, are not those of the last `up`: somebody has restored what was saved before it.
is_as_recorded() {
    local flags now
    flags=$(cat "$(record flags)" 2>/dev/null) || return 0
    now=$(what_rules_say)
    (
        # shellcheck disable=SC2086 # flags are words
        (parse_command_line "$COMMANDS" up $flags) >/dev/null 2>&1 || exit 0
        use_defaults
        # shellcheck disable=SC2086
        parse_command_line "$COMMANDS" up $flags
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
    # Of ports that were dropped by then, older rules may be back.
    # shellcheck disable=SC2046 # flags are words
    if "$self" up --put-back ${INSTANCE:+--instance "$INSTANCE"} $(cat "$(record flags)" 2>/dev/null) \
        --drop-ports >/dev/null 2>"$WORK/put-back"; then
        guard_says notice "the firewall rules are back"
        return
    fi
    guard_says err "the firewall rules could not be put back: $(tr '\n' ' ' <"$WORK/put-back")"
    return 1
}

RULES_LOST='firewall rules are missing that nobody took down: the ports may be OPEN'

# The daemon writes its own log.
guard_says() { # PRIORITY TEXT
    if [ -n "$REPORT" ]; then
        echo "say $1 $2"
        return
    fi
    complain "$2"
    logger -t tcpknock -p "daemon.$1" "server.sh guard: $2" 2>/dev/null
}

# --- the commands ------------------------------------------------------------------------------------------------

up() {
    local old_ports='' old_mark='' old_queue='' old_filter='' family
    local wanted_ports="$PORTS" wanted_queue="$QUEUE" wanted_mark="$MARK" wanted_failure="$ON_FAILURE"
    local wanted_filter old_sets='' wanted_protect="$PROTECT" wanted_exempt="$EXEMPT" old_protect='' old_exempt='' is_of_before=''
    local established_ports='' recorded_ports='' port
    KEPT=0
    # `down` may have come since the guard has looked.
    [ -z "$PUT_BACK" ] || { [ -e "$(record wanted)" ] && [ ! -e "$(pending_file)" ]; } || return 0
    refuse_what_others_have
    # shellcheck disable=SC2046 # a list of ports
    refuse_fewer_ports $(read_configuration && echo "$PORTS")
    # shellcheck disable=SC2046 # a list of places
    refuse_fewer_places $(read_configuration && echo "$PROTECT")
    choose_filter
    wanted_filter=$FILTER
    KEEPING=$(noted keeping)
    if [ "$(state)" = up ] && hooks_are_first; then
        cancel_watcher
        close_gate
        echo "tcpknock server rules are already up like this: $(describe)"
        [ -z "$CONFIRM" ] || start_watcher "$CONFIRM"
        remember_flags
        say_confirm
        return
    fi
    if read_configuration; then
        old_ports=$PORTS old_mark=$MARK old_queue=$QUEUE old_filter=$FILTER old_sets=$SETS
        old_protect=$PROTECT old_exempt=$EXEMPT
        [ -n "$PROTECT" ] || is_of_before=yes
    fi
    PORTS=$wanted_ports QUEUE=$wanted_queue MARK=$wanted_mark SETS='' FILTER=$wanted_filter
    ON_FAILURE=$wanted_failure PROTECT=$wanted_protect EXEMPT=$wanted_exempt

    ( refuse_unreadable ) || undo_filter "$old_filter" "$old_ports" "$old_protect" "$old_exempt"
    cancel_watcher
    [ -z "$CONFIRM" ] || start_watcher "$CONFIRM"
    # All that is established is kept only where no rules have ever been. Where they were, what is not verified has no
    # right to be there: it came in while they were down.
    recorded_ports=$(remembered_ports)
    for port in $PORTS; do
        case " $old_ports " in *" $port "*)
            if [ -z "$KEEP_ESTABLISHED" ] || [ "$PROTECT, $EXEMPT" = "$old_protect, $old_exempt" ]; then continue; fi
            ;;
        esac
        case " $recorded_ports " in *" $port "*) [ -n "$KEEP_ESTABLISHED" ] || continue ;; esac
        established_ports="$established_ports $port"
    done
    recorded_ports=''
    for port in $PORTS; do
        case "$established_ports " in *" $port "*) ;; *) recorded_ports="$recorded_ports $port" ;; esac
    done
    [ -z "$old_ports" ] || keep_verified "$old_mark" "$old_ports"
    # shellcheck disable=SC2086 # a list of ports
    [ -z "$recorded_ports" ] || keep_recorded $recorded_ports
    # Of ports that stay up, nobody asks.
    [ -z "$old_ports" ] || [ ! -e "$WORK/left-out" ] || : >"$WORK/left-out"
    # shellcheck disable=SC2086 # a list of ports
    keep_established $established_ports
    KEEPING=''
    for family in $FAMILIES; do
        [ -s "$WORK/kept.$family" ] || continue
        KEEPING=yes
        sort -u "$WORK/kept.$family" -o "$WORK/kept.$family"
    done
    if ! put_all; then
        cancel_watcher
        undo_filter "$old_filter" "$old_ports" "$old_protect" "$old_exempt"
    fi
    check_result
    close_gate
    { boot_id && record_kept; } | write_record connections
    remember_flags
    leave_filter "$old_filter"
    if [ -n "$old_sets" ]; then
        QUEUE=$old_queue
        destroy_sets
        QUEUE=$wanted_queue
    fi
    echo "tcpknock server rules are up: $(describe)"
    say_what_is_kept
    [ -z "$is_of_before" ] || [ "$PROTECT" != own ] ||
        echo "note: what this host forwards or bridges for others is not protected any more, as it was by the rules of" \
            "an earlier version; to want that, give --protect ADDRESS"
    queue_owner "$QUEUE" >/dev/null ||
        echo "note: no process listens to queue $QUEUE; until tcpknock-server does, $WITHOUT_DAEMON"
    say_confirm
}

# Nobody should lose the protection of a port because another configuration was put in.
refuse_fewer_ports() { # OLD_PORT...
    local port dropped=''
    for port; do
        case " $PORTS " in *" $port "*) ;; *) dropped="$dropped $port" ;; esac
    done
    [ -n "$dropped" ] || return 0
    [ -n "$DROP_PORTS" ] || die $EX_USAGE "TCP port$dropped would not be protected any more; to want that, add" \
        "--drop-ports; for another tcpknock-server, give --instance NAME; nothing was changed"
    echo "no longer protected: TCP port$dropped"
}

# Nor of a host.
refuse_fewer_places() { # OLD_PLACE...
    local place dropped=''
    for place; do
        case " $PROTECT " in *" $place "*) ;; *) dropped="$dropped, $place" ;; esac
    done
    [ -n "$dropped" ] || return 0
    [ -n "$DROP_PORTS" ] || die $EX_USAGE "--protect: ${dropped#, } would not be protected any more; to want that, add" \
        "--drop-ports; nothing was changed"
    echo "no longer protected: ${dropped#, }"
}

# Two instances cannot have a port or a queue in common.
refuse_what_others_have() {
    local BACKEND family table instance name value
    for BACKEND in nft legacy; do
        backend_exists "$BACKEND" || continue
        for family in $FAMILIES; do
            for table in $TABLES; do saved_table "$family" "$table"; done
        done
    done | sed -n 's/^-A TCPKNOCK-\(SRV\|[A-Za-z0-9-]*_\)-NOTE .*--comment "\{0,1\}\([a-z-]*\)=\([^" ]*\).*/\1 \2 \3/p' |
        sort -u | grep -v "^${OWN#TCPKNOCK-} " >"$WORK/others"
    while read -r instance name value; do
        instance=${instance%_}
        [ "$instance" != SRV ] || instance='the default one'
        case $name in
        target-port)
            case " $PORTS " in *" $value "*)
                die $EX_USAGE "TCP port $value is protected by another instance already ($instance); nothing was changed" ;;
            esac
            ;;
        queue-num)
            [ "${QUEUE##*:}" -lt "${value%%:*}" ] || [ "${QUEUE%%:*}" -gt "${value##*:}" ] ||
                die $EX_USAGE "queue $QUEUE is in use by another instance ($instance, queue $value);" \
                    "give --queue-num; nothing was changed"
            ;;
        esac
    done <"$WORK/others"
}

# What was asked for by the last `up` that went well: the next boot may need it, and the guard. Where a confirmation is
# waited for, it is not yet known that it went well.
remember_flags() {
    echo "${0##*/} guard" | write_record wanted
    [ -z "$FLAGS_FAILED" ] || return 0
    if [ -n "$CONFIRM" ]; then
        echo "$GIVEN" | write_record unconfirmed
    else
        echo "$GIVEN" | write_record flags
        rm -f "$(record unconfirmed)"
    fi
    rm -f "$(record warning)"
}

remembered_ports() {
    [ ! -s "$(record flags)" ] || tr ' ' '\n' <"$(record flags)" |
        awk -v usual="$PORTS_DEFAULT" 'last == "--target-port" { print; some = 1 } { last = $0 } END { if (!some) print usual }' |
        tr '\n' ' '
}

# `up` without the flags, which the program could not say. Nothing opens by that, and nobody can overlook it.
up_without_flags() { # ARGUMENT...
    local flags='' what
    logger -t tcpknock -p daemon.err "server.sh up: '$FLAGS_FROM --firewall-flags' failed" 2>/dev/null
    if [ -n "$IN_USE" ]; then
        what="the rules that are up stay as they are"
    elif [ -s "$(record flags)" ] && flags=$(cat "$(record flags)") && valid_flags "$flags" "$@"; then
        what="the ports of the last good 'up' are protected"
    else
        flags=''
        what="no earlier 'up' is on record, so only TCP port $PORTS_DEFAULT is protected"
    fi
    what="'$FLAGS_FROM --firewall-flags' failed, so the configuration is not known: $what"
    complain "$what; put the configuration right and run 'up' again"
    echo "$(date '+%Y-%m-%d %H:%M:%S'): $what" | write_record warning
    [ -z "$IN_USE" ] || exit $EX_CONFIG
    # shellcheck disable=SC2086 # flags are words
    [ -z "$flags" ] || parse_command_line "$COMMANDS" $flags "$@"
    choose_backend
    FLAGS_FAILED=yes
    up
    exit $EX_CONFIG
}

valid_flags() { # FLAGS ARGUMENT...
    local flags="$1"
    shift
    # shellcheck disable=SC2086 # flags are words
    (parse_command_line "$COMMANDS" $flags "$@") 2>/dev/null
}

# Leaves, with the kernel filter as it was.
undo_filter() { # OLD_FILTER OLD_PORTS OLD_PROTECT OLD_EXEMPT
    local wanted_filter="$FILTER"
    FILTER=$1 PORTS=$2 PROTECT=$3 EXEMPT=$4
    leave_filter "$wanted_filter"
    ! is_hook "$FILTER" || attach_hook "${FILTER%/*}"
    exit $EX_FAILED
}

say_confirm() {
    [ -z "$CONFIRM" ] || echo "the rules come down again in $CONFIRM seconds unless you run: $(type_this confirm)"
}

# Connection marks are left as they are. They mean nothing without the rules, and another `up` decides which it believes.
down() {
    cancel_watcher
    rm -f "$(record wanted)"
    if [ -z "$IN_USE" ]; then
        # Somebody else may have taken the rules away, who knew nothing of the filter.
        if no_other_instance && detach_all; then
            echo "tcpknock server rules are not up; a kernel filter that was still attached is not any more"
        else
            echo "tcpknock server rules are not up: nothing to do"
        fi
        return
    fi
    remove_all || die $EX_FAILED "some rules could not be removed; see above"
    echo "tcpknock server rules are down"
}

no_other_instance() {
    local BACKEND family
    for BACKEND in nft legacy; do
        backend_exists "$BACKEND" || continue
        for family in $FAMILIES; do
            ! saved_table "$family" mangle | grep -v "^-A $OWN-" | grep -Eq '^-A TCPKNOCK-(SRV|[A-Za-z0-9-]*_)-NOTE' ||
                return 1
        done
    done
}

remove_all() {
    if read_configuration; then
        command -v conntrack >/dev/null && command -v ss >/dev/null && record_verified >"$WORK/connections" &&
            { boot_id && cat "$WORK/connections"; } | write_record connections
    fi
    take_down || return
    [ -z "$SETS" ] || destroy_sets
    ! is_hook "$FILTER" || detach_hook "${FILTER%/*}"
}

confirm() {
    [ -e "$(pending_file)" ] || die $EX_FAILED "nothing waits for a confirmation"
    [ -n "$IN_USE" ] || die $EX_FAILED "there is nothing to confirm: the rules are not up"
    cancel_watcher
    [ ! -e "$(record unconfirmed)" ] || mv -f "$(record unconfirmed)" "$(record flags)"
    echo "confirmed: the tcpknock server rules stay up"
}

if [ "${1-}" = --watch-confirmation ]; then # only from start_watcher
    shift
    watch_confirmation "$@"
fi
read_command_line "$COMMANDS" "$@" || FLAGS_FAILED=yes
require_root
require_tools awk mawk flock util-linux
[ -z "$CONFIRM" ] || require_tools setsid util-linux
[ "$COMMAND" != up ] || require_tools conntrack conntrack ss iproute2
begin
choose_backend
[ -z "$FLAGS_FAILED" ] || up_without_flags "$@"
case $COMMAND in
up) up ;;
down) down ;;
confirm) confirm ;;
guard) guard ;;
status)
    [ ! -e "$(pending_file)" ] || [ -n "$JSON" ] || echo "waiting for '$(type_this confirm)', else the rules come down"
    show_status
    ;;
esac
