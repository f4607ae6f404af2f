# shellcheck shell=dash
# The kernel filter: part of server.sh. Sets FILTER, the program in use as PATH:INODE, in `choose_filter`; needs QUEUE,
# PORTS, PROTECT, EXEMPT, MARK, KERNEL_FILTER and PIN_FOLDER.
#
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

# Runs a command of `tcpknock kernel-filter` with flags for PORTS, PROTECT and EXEMPT. Rules of versions that had no
# places protected everything.
filter_tool() { # ARGUMENT...
    local word
    for word in $PORTS; do set -- "$@" --target-port "$word"; done
    for word in ${PROTECT:-0.0.0.0/0 ::/0}; do set -- "$@" --protect "$word"; done
    for word in $EXEMPT; do set -- "$@" --exempt "$word"; done
    tcpknock_tool kernel-filter "$@"
}

# Attaches the program in a folder with the present scope; false if there is none or it cannot be attached.
attach_hook() { # FOLDER
    [ -e "$1/syn_code_hook" ] || return
    filter_tool attach --folder "$1" 2>"$WORK/attach"
}

# Closes the gate behind the attached filter. The rules that mark connections must be in place.
close_gate() {
    is_hook "$FILTER" || return 0
    filter_tool close-gate --folder "${FILTER%/*}" --mark "$MARK" 2>"$WORK/gate" ||
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
