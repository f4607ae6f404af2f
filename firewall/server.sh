#!/bin/sh
# shellcheck shell=dash
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
# shellcheck source-path=SCRIPTDIR source=kernel-filter.sh
. "$HERE/kernel-filter.sh"
# shellcheck source-path=SCRIPTDIR source=connections.sh
. "$HERE/connections.sh"
# shellcheck source-path=SCRIPTDIR source=guard.sh
. "$HERE/guard.sh"

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

forget_own_options() {
    CONFIRM='' KEEP_ESTABLISHED='' DROP_PORTS='' GIVEN_PROTECT='' GIVEN_EXEMPT='' REPORT='' TELL='' PUT_BACK=''
}

set_own_option() { # FLAG VALUE
    case $1 in
    --on-failure)
        case $2 in drop | reset) ON_FAILURE=$2 ;; *)
            die $EX_USAGE "--on-failure: '$2' is not known; give drop or reset" ;;
        esac
        ;;
    --protect | --exempt) set_place "$1" "$2" ;;
    --kernel-filter)
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
        PIN_FOLDER=${2%/}
        ;;
    --instance) set_instance "$2" ;;
    --confirm)
        is_number "$2" 1 86400 ||
            die $EX_USAGE "--confirm: '$2' is not a time in seconds; give a whole number from 1 to 86400"
        CONFIRM=$2
        ;;
    esac
}

set_own_switch() { # FLAG, one that takes no value
    case $1 in
    --keep-established) KEEP_ESTABLISHED=yes ;;
    --drop-ports) DROP_PORTS=yes ;;
    --report) REPORT=yes ;;
    --tell) TELL=yes ;;
    --put-back) PUT_BACK=yes ;; # from the guard: `up`, if the rules are still wanted
    esac
}

check_own_options() {
    [ -z "$KEEP_ESTABLISHED$DROP_PORTS$PUT_BACK" ] || [ "$COMMAND" = up ] ||
        die $EX_USAGE "--keep-established and --drop-ports go with 'up', not with '$COMMAND'"
    [ -z "$REPORT$TELL" ] || [ "$COMMAND" = guard ] ||
        die $EX_USAGE "--report and --tell go with 'guard', not with '$COMMAND'"
    [ -z "$CONFIRM" ] || [ "$COMMAND" = up ] || die $EX_USAGE "--confirm goes with 'up', not with '$COMMAND'"
    [ -z "$GIVEN_PROTECT" ] || PROTECT=$(in_order "$GIVEN_PROTECT")
    [ -z "$GIVEN_EXEMPT" ] || EXEMPT=$(in_order "$GIVEN_EXEMPT")
}

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

destroy_sets() { # QUEUE
    local family set _
    command -v ipset >/dev/null || return 0
    for family in $FAMILIES; do
        set=tcpknock-${1%%:*}-$family
        # iptables-nft releases a set some time after the rule is gone.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            ipset list -n "$set" >/dev/null 2>&1 || break
            ipset destroy "$set" 2>/dev/null && break
            sleep 0.1
        done
    done
}

# --- the commands ------------------------------------------------------------------------------------------------

up() {
    local notes old_ports old_places old_exempt old_queue old_mark old_filter old_sets
    # `down` may have run since the guard looked.
    [ -z "$PUT_BACK" ] || { [ -e "$(record wanted)" ] && [ ! -e "$(pending_file)" ]; } || return 0
    notes=$(all_notes)
    old_ports=$(noted "$notes" target-port) old_places=$(noted "$notes" protect) old_exempt=$(noted "$notes" exempt)
    old_queue=$(noted "$notes" queue-num) old_mark=$(noted "$notes" mark)
    old_filter=$(noted "$notes" kernel-filter) old_sets=$(noted "$notes" sets)
    refuse_what_others_have
    refuse_fewer_ports "$old_ports"
    refuse_fewer_places "$old_places"
    choose_filter
    KEEPING=$(noted "$notes" keeping)
    if [ "$(state)" = up ] && hooks_are_first; then
        await_confirmation
        close_gate
        echo "tcpknock server rules are already up like this: $(describe)"
        remember_flags
        say_confirm
        return
    fi

    (refuse_unreadable) || undo_filter "$old_filter" "$old_ports" "$old_places" "$old_exempt"
    await_confirmation
    # Before the first rule is in place: whoever runs this over ssh must not be cut off.
    keep_connections "$old_ports" "$old_mark" "$old_places" "$old_exempt"
    if ! put_all; then
        cancel_watcher
        undo_filter "$old_filter" "$old_ports" "$old_places" "$old_exempt"
    fi
    check_result
    close_gate
    { boot_id && record_kept; } | write_record connections
    remember_flags
    leave_filter "$old_filter"
    [ -z "$old_sets" ] || destroy_sets "$old_queue"

    echo "tcpknock server rules are up: $(describe)"
    say_what_is_kept
    [ -z "$old_ports" ] || [ -n "$old_places" ] || [ "$PROTECT" != own ] ||
        echo "note: what this host forwards or bridges for others is not protected any more, as it was by the rules of" \
            "an earlier version; to want that, give --protect ADDRESS"
    queue_owner "$QUEUE" >/dev/null ||
        echo "note: no process listens to queue $QUEUE; until tcpknock-server does, $WITHOUT_DAEMON"
    say_confirm
}

# Another configuration must not silently remove the protection of a port.
refuse_fewer_ports() { # OLD_PORTS
    local port dropped=''
    for port in $1; do
        case " $PORTS " in *" $port "*) ;; *) dropped="$dropped $port" ;; esac
    done
    [ -n "$dropped" ] || return 0
    [ -n "$DROP_PORTS" ] || die $EX_USAGE "TCP port$dropped would not be protected any more; to want that, add" \
        "--drop-ports; for another tcpknock-server, give --instance NAME; nothing was changed"
    echo "no longer protected: TCP port$dropped"
}

# Nor that of a place.
refuse_fewer_places() { # OLD_PLACES
    local place dropped=''
    for place in $1; do
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
    [ -z "$flags" ] || parse_flags_and "$COMMANDS" "$flags" "$@"
    choose_backend
    FLAGS_FAILED=yes
    up
    exit $EX_CONFIG
}

valid_flags() { # FLAGS ARGUMENT...
    (parse_flags_and "$COMMANDS" "$@") >/dev/null 2>&1
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
    [ -z "$SETS" ] || destroy_sets "$QUEUE"
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
