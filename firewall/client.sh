#!/bin/sh
# shellcheck shell=dash
# The rules of a host that knocks, or of a router that knocks for the machines behind it.
#
#   program -> POSTROUTING --- SYN to a target port ------> queue -> tcpknock-client writes the code -> wire
#   program <- PREROUTING (raw) <- SYN/ACK from such a port <- queue <- tcpknock-client unmasks it   <- wire
#
# The SYN is queued in POSTROUTING of the mangle table, on its way out, forwarded or not. The SYN/ACK is queued in the
# raw table, before connection tracking, which therefore sees only the true sequence number.
# A packet that the daemon accepts starts the same table again (NF_REPEAT), with the packet mark set, so every other
# rule there sees it as if tcpknock were not there.
# All rules have --queue-bypass: without the daemon these packets pass unchanged, and only protected servers are out of
# reach.

set -u
HERE=$(dirname -- "$(readlink -f -- "$0")")
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$HERE/common.sh"

ROLE=client
OWN=TCPKNOCK-CLI
TABLES='mangle raw'
FLAGS='--target-port --queue-num --mark --iptables --flags-from'
SWITCHES='--json'
PORTS=22
QUEUE=200
# One bit in packet marks: the daemon has seen this packet.
MARK=0x1000
WITHOUT_DAEMON='connections go out without a knock, and protected servers do not answer'

usage() {
    cat <<EOF
Usage: client.sh up      [--target-port N ...] [--queue-num N] [--mark BIT] [--iptables auto|nft|legacy]
                         [--flags-from PROGRAM]
       client.sh status  [--iptables auto|nft|legacy] [--json]
       client.sh down    [--iptables auto|nft|legacy]

The firewall rules for tcpknock-client, for IPv4 and IPv6. They lead the two packets of a handshake that carry the
knock through the daemon. Without the daemon everything passes as if there were no rules.

  up        puts the rules in; run again with other values it replaces them, with the same it changes
            nothing, but that it puts its own first again if those of another program stand before them
  status    says what is there, with --json for programs; exit status 0: up, 3: down, 1: only partly there
  down      takes the rules out and leaves everything else as it was

  --target-port N     a TCP port of servers to knock at; may be given several times (default $PORTS)
  --queue-num N       the queue that tcpknock-client listens to (default $QUEUE)
  --mark BIT          the one bit, in packet marks, that says that tcpknock-client has seen a packet (default $MARK);
                      tcpknock-client must be given the same
  --iptables WHICH    auto (default): the one in which the rules are, else what 'iptables' is on this system
  --flags-from PROGRAM
                      run 'PROGRAM --firewall-flags' and take the flags that it prints; if it fails, change nothing
  -h, --help          this text

'down' and 'status' find the values in the rules themselves and need no flags.
EOF
}

# Prints the wanted rules in the syntax of iptables-save. FIN,SYN,RST,ACK is the mask: of these flags, SYN alone must be
# set, or SYN and ACK. Other flags do not matter, so SYNs with ECN, which have ECE and CWR set, match too.
wanted_rules() { # FAMILY TABLE
    local port
    for port in $PORTS; do
        case $2 in
        mangle) echo "-A POSTROUTING -p tcp -m tcp --dport $port --tcp-flags FIN,SYN,RST,ACK SYN -j $OWN-OUT" ;;
        raw) echo "-A PREROUTING -p tcp -m tcp --sport $port --tcp-flags FIN,SYN,RST,ACK SYN,ACK -j $OWN-IN" ;;
        esac
    done
    # A host does not knock at itself. The hooks do not test the interface: every segment would pay for that test, and
    # it costs more than the rest of the rule.
    case $2 in
    mangle)
        cat <<EOF
-A $OWN-OUT -m mark --mark $MARK/$MARK -g $OWN-DONE
-A $OWN-OUT -o lo -j RETURN
-A $OWN-OUT -j NFQUEUE --queue-num $QUEUE --queue-bypass
EOF
        ;;
    raw)
        cat <<EOF
-A $OWN-IN -m mark --mark $MARK/$MARK -g $OWN-DONE
-A $OWN-IN -i lo -j RETURN
-A $OWN-IN -j NFQUEUE --queue-num $QUEUE --queue-bypass
EOF
        ;;
    esac
    echo "-A $OWN-DONE -j MARK --set-xmark 0x0/$MARK"
}

up() {
    if [ "$(state)" = up ] && hooks_are_first; then
        echo "tcpknock client rules are already up like this: $(describe)"
        return
    fi
    refuse_unreadable
    put_all || exit $EX_FAILED
    check_result
    echo "tcpknock client rules are up: $(describe)"
    queue_owner "$QUEUE" >/dev/null ||
        echo "note: no process listens to queue $QUEUE; until tcpknock-client does, $WITHOUT_DAEMON"
}

down() {
    if [ -z "$IN_USE" ]; then
        echo "tcpknock client rules are not up: nothing to do"
        return
    fi
    take_down || die $EX_FAILED "some rules could not be removed; see above"
    echo "tcpknock client rules are down"
}

forget_own_options() { REPORT=''; }
set_own_option() { :; }
set_own_switch() { :; }
check_own_options() { :; }
more_json() { :; }

read_command_line 'up down status' "$@" ||
    die $EX_CONFIG "'$FLAGS_FROM --firewall-flags' failed, so the flags are not known; nothing was changed"
require_root
require_tools awk mawk flock util-linux
begin
choose_backend
case $COMMAND in
up) up ;;
down) down ;;
status) show_status ;;
esac
