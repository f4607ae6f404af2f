#!/bin/sh
# shellcheck disable=SC3043
# The rules of a host, or of a gateway to hosts (--protect), whose TCP ports are hidden behind a knock.
#
#   wire -> raw PREROUTING --- cannot be a knock: dropped before it costs anything; so is a SYN with a wrong code,
#                |             if tcpknock-server has a filter in the kernel
#                \-> mangle PREROUTING --- verified connection --------------------------> socket, or forwarded
#                             \-- else -> queue -> tcpknock-server -> the same once more, past all other rules ->
#
# If the kernel can do that, the gate of the kernel filter comes after all tables. It lets nothing in that is not
# verified, even while another program has flushed these rules.
#
#   wire <- mangle POSTROUTING <- queue <- SYN/ACKs of the protected ports
#
# Packets that constant bytes show to be no knock are dropped in the raw table, before connection tracking makes an
# entry for them. The other rules are in the mangle table: its PREROUTING comes after connection tracking, which we need
# to recognise the connection, and its POSTROUTING after connection tracking has seen the true sequence number of our
# SYN/ACK.
# A packet that the daemon accepts starts the same table again (NF_REPEAT), with the packet mark set, so every other
# rule there sees it as if tcpknock were not there.
# Nothing here opens a port to an address; only single connections are let through.
#
# With --on-failure reset nothing is dropped here: the daemon answers everything that is refused, as a closed port
# would.

set -u
HERE=$(dirname -- "$(readlink -f -- "$0")")
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$HERE/common.sh"

ROLE=server
OWN=TCPKNOCK-SRV
TABLES='mangle raw'
QUEUE_RANGES=', or FIRST:LAST for at most 64 queues'
GROWING=$OWN-KEPT
FLAGS='--target-port --queue-num --mark --on-failure --iptables --kernel-filter --pin-folder --confirm --instance --flags-from --protect --exempt'
SWITCHES='--json --keep-established --drop-ports'
# For the guard.
SWITCHES="$SWITCHES --report --tell --put-back"
COMMANDS='up down status confirm guard'
PORTS_DEFAULT=22
QUEUE_DEFAULT=100
# One bit. In a packet mark: the daemon has accepted this packet; on the way to the daemon: the packet belongs to a
# verified connection. In a connection mark: verified. The default does not collide with the bits of kube-proxy (0x4000,
# 0x8000), Cilium (0x0f00 and the upper 16), Calico (0xffff0000), Tailscale (0xff0000), wg-quick (0xca6c), Mullvad
# (0x6d6f6c65), Weave (0x20000) or the AWS VPC plug-in (0x80).
MARK_DEFAULT=0x1000
KERNEL_FILTER=auto
PIN_FOLDER=/sys/fs/bpf/tcpknock
FLAGS_FAILED=''
GATE_IS_OPEN='the kernel filter has no gate: while another program has flushed the rules, a right code alone is enough'
use_defaults() { PORTS=$PORTS_DEFAULT QUEUE=$QUEUE_DEFAULT MARK=$MARK_DEFAULT ON_FAILURE=drop PROTECT=own EXEMPT=''; }
use_defaults
WITHOUT_DAEMON='nobody can open a new connection to the target ports'

# The rules of another instance are the same under other names. No chain prefix is the beginning of another's, because
# instance names contain no underscore.
set_instance() { # NAME
    case $1 in '' | -* | *[!A-Za-z0-9-]* | ???????????*)
        die $EX_USAGE "--instance: '$1' is not a name; give 1 to 10 letters, digits and -, not beginning with -" ;;
    esac
    INSTANCE=$1
    OWN=TCPKNOCK-${1}_
    GROWING=$OWN-KEPT
}

# Adds a place of --protect or --exempt: an address, a prefix, or everything that arrives on an interface; for --protect
# also `own`, everything addressed to this host itself.
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

# Prints the wanted rules in the syntax of iptables-save. Hooks come first; the order inside each chain matters.
wanted_rules() { # FAMILY TABLE
    case $2 in
    raw) wanted_raw_rules "$1" ;;
    mangle) wanted_mangle_rules "$1" ;;
    esac
}

# --- the protected and exempt places
# Established segments must not pay for these tests. So the hooks test only the port, and these rules are in our chains,
# after the rules that let such segments pass. (Segments of exempt connections, which nobody marks, do reach them.)

# Prints the match of a place that is the destination (-d) or source (-s) of packets that come in (-i) or go out (-o);
# prints nothing if the place is everywhere. False if the place is of the other family.
match_of() { # FAMILY PLACE -d|-s -i|-o
    case $2 in
    own) if [ "$3" = -d ]; then echo "-m addrtype --dst-type LOCAL"; else echo "-m addrtype --src-type LOCAL"; fi ;;
    own-in-vrf)
        # This looks in the table of the VRF that the interface belongs to, and only for the interface's own addresses.
        # So it does not match when the VRF's device passes the same packet through the tables once more. (The kernel
        # loses a packet that is queued then.)
        if [ "$4" = -i ]; then
            echo "$(match_of "$1" own "$3" "$4") --limit-iface-in"
        else
            echo "$(match_of "$1" own "$3" "$4") --limit-iface-out"
        fi
        ;;
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

# Prints the rules that let only packets of protected places, from sources that are not exempt, go on: in the same
# chain, or in the one that `behind_scope` names. A single place takes one rule. Several places take a second chain,
# which each of their rules goes to.
scope_rules() { # FAMILY CHAIN: IN or RAW for incoming packets, OUT for outgoing ones
    local place match to=-d from=-s interface=-i
    [ "$2" != OUT ] || to=-s from=-d interface=-o
    for place in $EXEMPT; do
        match=$(match_of "$1" "$place" $from $interface) || continue
        echo "-A $OWN-$2${match:+ $match} -j RETURN"
    done
    case $PROTECT in
    '') ;; # rules of a version without places
    own)
        match=$(for place in own own-in-vrf; do match_of "$1" $place $to $interface; done | sed 's/--/! --/' | tr '\n' ' ')
        echo "-A $OWN-$2 ${match}-j RETURN"
        ;;
    *)
        for place in $(echo "$PROTECT" | tr ' ' '\n' | sed 's/^own$/own own-in-vrf/'); do
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
    # A packet must not arrive with the daemon's mark already set by somebody else.
    for port in $PORTS; do
        echo "-A PREROUTING -p tcp -m tcp --dport $port -m mark --mark $MARK/$MARK -j $OWN-UNMARK"
    done
    echo "-A $OWN-UNMARK -j MARK --set-xmark 0x0/$MARK"
    if [ "$ON_FAILURE" = reset ]; then
        # The daemon's RSTs carry the mark. They are hidden from connection tracking: a refusal of packets that were
        # sent in a client's name must not end the client's own connections.
        for port in $PORTS; do
            echo "-A OUTPUT -p tcp -m tcp --sport $port --tcp-flags SYN,RST RST -m mark --mark $MARK/$MARK -j $OWN-RST"
        done
        echo "-A $OWN-RST -j CT --notrack"
        echo "-A $OWN-RST -j MARK --set-xmark 0x0/$MARK"
        return 0
    fi
    # This matches a SYN whose ack field is 0. In IPv4 the TCP header follows after 4 * IHL bytes; in IPv6 after 40
    # bytes, if TCP is the next header. (A TCP header after extension headers is not found here, and the daemon
    # decides.)
    case $1 in
    4) empty_ack='0x0>>0x16&0x3c@0x8=0x0' ;;
    6) empty_ack='0x3&0xff=0x6&&0x30=0x0' ;;
    esac

    for port in $PORTS; do
        echo "-A PREROUTING -p tcp -m tcp --dport $port ! --tcp-flags SYN,RST,ACK ACK -j $OWN-RAW"
    done
    # No rule may need anything that lives outside the rules, such as an address set. At boot, when rules are restored
    # from the output of iptables-save, it would be missing, and the whole table with everybody's rules would fail.
    # RAW: packets that need no second look. The segments of a connection, nearly all of them with ACK and without SYN
    # and RST, do not come here. FIN,SYN,RST,ACK is the mask: of these flags, SYN alone must be set.
    # 1. Packets from this host to itself need no knock, nor do those from exempt or to unprotected places.
    # 2. The program that the daemon has loaded into the kernel recognises wrong codes. It comes first of the rest,
    #    because it is meant for floods of them. It tests the flags itself, which saves a match.
    # 3. A SYN with an empty ack field is not a knock; every scanner ends here.
    # 4. Any other SYN alone may be a knock. No client sends a SYN with FIN, RST or ACK, and a segment without SYN, ACK
    #    and RST belongs to nothing.
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
    # With several queues, the kernel chooses one by both addresses, so each queue gets both directions of a connection.
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

    # IN: incoming packets.
    # 1. Verified connections pass and never leave the kernel again. Their SYNs do not: a SYN is always a knock.
    # 2. Packets that the daemon has accepted pass.
    # 3. Packets from this host to itself need no knock. (The hooks above do not test this: every segment of a
    #    connection would pay for comparing the interface's name, which costs more than the rest of the rule.)
    # 4. Packets from exempt or to unprotected places are not our business.
    # 5. Connections from before `up` that connection tracking has no entry for get their mark, and pass.
    # 6. Other segments that begin in the middle have no handshake to judge. (The answer to a SYN/ACK is not new.)
    # 7. The daemon is told which SYNs meet a verified connection. They do not change it.
    # 8. Everything else goes to the daemon. There is no --queue-bypass: without the daemon nobody gets in.
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

    # OUT: the SYN/ACKs, whose sequence number the daemon masks.
    # (A SYN/ACK of a port that this host publishes for another host still has that host's address here.)
    echo "-A $OWN-OUT -m mark --mark $MARK/$MARK -g $OWN-DONE"
    echo "-A $OWN-OUT -o lo -j RETURN"
    scope_rules "$1" OUT
    # A SYN/ACK that connection tracking has no entry for, because it has forgotten it since the SYN, would lead
    # nowhere: the third ACK would not be recognised either. Without it the client repeats its SYN, which begins a new
    # entry.
    echo "-A $mask -m conntrack --ctstate INVALID -j DROP"
    echo "-A $mask -m connmark --mark $MARK/$MARK -j MARK --set-xmark $MARK/$MARK"
    echo "-A $mask $to_queue"

    # DONE: packets that the daemon has accepted.
    # 1. Segments without SYN and RST are accepted only for verified connections, so this is where a connection becomes
    #    one. A SYN, a SYN/ACK and a RST verify nothing.
    # 2. The packet mark has done its work. Routing comes later, and never sees it.
    cat <<EOF
-A $OWN-DONE -p tcp -m tcp --tcp-flags SYN,RST NONE -j CONNMARK --set-xmark $MARK/$MARK
-A $OWN-DONE -j MARK --set-xmark 0x0/$MARK
EOF

    # KEPT: see keep_established. It has rules only for connections from before `up`.
    echo ":$OWN-KEPT - [0:0]"
    [ ! -e "$WORK/kept.$1" ] || cat "$WORK/kept.$1"
}

# --- address sets ------------------------------------------------------------------------------------------------
# Removes the address sets that rules of earlier versions matched, once those rules are gone.

destroy_sets() {
    local family set _
    command -v ipset >/dev/null || return 0
    for family in $FAMILIES; do
        set=tcpknock-${QUEUE%%:*}-$family
        # iptables-nft releases a set some time after the rule is gone.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            ipset list -n "$set" >/dev/null 2>&1 || break
            ipset destroy "$set" 2>/dev/null && break
            sleep 0.1
        done
    done
}

# --- the kernel filter -------------------------------------------------------------------------------------------
# tcpknock-server pins a program that tells wrong codes from right ones and, if the kernel supports it, a second one
# that can be attached to the network itself: `tcpknock kernel-filter` does that, and pins the links beside it. A rule
# or a link holds the program, not its path: if another program is pinned there later, the rule or link must be made
# anew. So the notes also contain the inode number of the file. Together with the attached program comes the gate: a
# program after all rules that lets pass only what they have verified, and SYNs that have been through connection
# tracking.

# True if the filter is the program that is attached by links, without a rule.
is_hook() { case $1 in */syn_code_hook:*) ;; *) return 1 ;; esac } # FILTER

# True if both links of the filter exist.
is_attached() { # FOLDER
    [ -e "$1/link-ipv4" ] && [ -e "$1/link-ipv6" ]
}

# Prints the flags for PORTS, PROTECT and EXEMPT. Rules of versions that had no places protected everything.
filter_scope() {
    local word
    for word in $PORTS; do echo "--target-port $word"; done
    for word in ${PROTECT:-0.0.0.0/0 ::/0}; do echo "--protect $word"; done
    for word in $EXEMPT; do echo "--exempt $word"; done
}

# Attaches the program in a folder with the present scope; false if there is none or it cannot be attached.
attach_hook() { # FOLDER
    [ -e "$1/syn_code_hook" ] || return
    # shellcheck disable=SC2046 # flags are words
    tcpknock_tool kernel-filter attach --folder "$1" $(filter_scope) 2>"$WORK/attach"
}

# Closes the gate behind the attached filter. The rules that mark connections must be in place.
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

# Runs the program `tcpknock`: of the same installation, of the build beside the source, or from the PATH.
tcpknock_tool() { # ARGUMENT...
    local path
    for path in "$HERE/../../sbin/tcpknock" "${TCPKNOCK_BIN:-$HERE/../.build/release}/tcpknock"; do
        [ ! -x "$path" ] || break
        path=tcpknock
    done
    "$path" "$@"
}

# Waits until a tcpknock-server that was just started has pinned its programs, or has decided to go without: then
# CAP_NET_ADMIN is its only capability.
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

# Sets FILTER to PATH:INODE, or to nothing if there is no program or if it is not wanted.
choose_filter() {
    local path
    FILTER=''
    if [ "$ON_FAILURE" = reset ]; then
        case $KERNEL_FILTER in auto | off) return 0 ;; esac
        die $EX_USAGE "--kernel-filter $KERNEL_FILTER does not go with --on-failure reset: it could only drop;" \
            "nothing was changed"
    fi
    [ "$KERNEL_FILTER" != off ] || return 0
    # Daemons in other network namespaces may have a queue of the same number, and share the folder.
    path=$PIN_FOLDER/$(stat -L -c %i /proc/self/ns/net)-${QUEUE%%:*}/syn_code
    await_filter "$path"
    if [ ! -e "$path" ]; then
        [ "$KERNEL_FILTER" != auto ] || { say_without_filter && return 0; }
        die $EX_FAILED "--kernel-filter $KERNEL_FILTER: there is no program at $path; tcpknock-server puts it there," \
            "so start that first; nothing was changed"
    fi
    # iptables-restore cannot restore a rule that uses the program while it is not pinned, as at boot, nor any other
    # rule of the same table. So such a rule must be asked for.
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

# Detaches the program of the earlier notes, unless it is still wanted.
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

# Marks the established connections to the given ports, and adds their number to KEPT.
keep_established() { # PORT...
    local port family client client_port server server_port
    for family in $FAMILIES; do
        : >"$WORK/tuples"
        for port; do
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
        # shellcheck disable=SC2086,SC2162 # four words
        while read -r client client_port server server_port; do
            mark_connection "$client" "$client_port" "$server" "$server_port" && KEPT=$((KEPT + 1))
        done <"$WORK/unique"
    done
}

# Carries over the state of the present rules when `up` replaces them: the connections verified under the old mark, and
# the rules of KEPT.
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

# Prints "client port server port cookie" of the sockets of this host. The kernel never reuses a cookie.
socket_cookies() { # FAMILY PORT...
    local family="$1" port
    shift
    for port; do socket_connections "$family" "$port" cookie; done
}

# Prints the connections that connection tracking has marked as verified.
marked_connections() { # FAMILY PORT...
    local family="$1" port
    shift
    # In any state: a mark counts in each.
    local ANY_STATE=yes
    for port; do tracked_connections "$family" "$port" -m "$MARK/$MARK"; done
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

# Prints the sockets that are verified when `down` removes the rules, for the record. Nobody clears the marks in
# connection tracking while there are no rules, but a new socket may meet an old mark: the next `up` believes only the
# recorded ones.
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

# Keeps only the recorded connections of ports that an earlier `up` has protected. Those that are not kept go to the
# file left-out.
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
        # Connections that are not addressed to this host have no socket here, but connection tracking knows them. With
        # PROTECT=own they go on in any case.
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

# Prints everything whose change requires a new look: our rules and those of others in the same tables, whether the gate
# of the kernel filter is attached, and what people asked for.
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
    local family table port whole="$PORTS"
    for family in $FAMILIES; do
        for table in $TABLES; do
            compare_rules "$family" "$table"
            # Somebody has added a rule to our chains, or removed one that all ports share.
            [ ! -s "$WORK/unexpected" ] || return
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
    # shellcheck disable=SC2086 # a list of ports
    printf '"wanted": "%s", "complete_ports": %s, "closed_ports": %s, "instances": %s, ' "${2:-$(wanted yes)}" \
        "$(json_list $complete)" "$(closed_ports "$3" | json_array any)" \
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
    # The older rules may be for ports that have been dropped since.
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

# Reports a message. With --report, the daemon writes it to its own log.
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
    # `down` may have run since the guard looked.
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
    # All established connections are kept only for ports that never had rules. Where there were rules before, a
    # connection that is not verified has no right to be there: it came in while they were down.
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
    # For ports that stay protected, the connections that are not kept need no mention.
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

# Another configuration must not silently remove the protection of a port.
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

# Nor that of a place.
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

# Refuses a port or a queue that another instance already has.
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

# Records the flags of the last successful `up` for the next boot and for the guard. While a confirmation is pending,
# they are recorded as unconfirmed.
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

# Runs `up` without the flags that the program failed to print. This opens nothing, and is reported clearly.
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

# Restores the earlier kernel filter, and exits.
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

# Leaves the connection marks alone. They mean nothing without rules, and the next `up` decides which of them to
# believe.
down() {
    cancel_watcher
    rm -f "$(record wanted)"
    if [ -z "$IN_USE" ]; then
        # Somebody else may have removed the rules without knowing of the filter.
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
