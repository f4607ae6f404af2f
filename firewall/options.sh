# shellcheck shell=dash
# The command line: part of common.sh. Sets COMMAND, the options that both scripts have (PORTS, QUEUE, MARK, BACKEND,
# JSON, FLAGS_FROM) and, of what was given, GIVEN_PORTS and GIVEN.

is_number() { # TEXT LOWEST HIGHEST
    case $1 in '' | *[!0-9]* | 0?* | ???????????*) return 1 ;; esac
    [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

# True for a queue number or, if the script takes several queues, FIRST:LAST.
is_queue() { # TEXT
    case $1 in
    *:*) [ -n "$QUEUE_RANGES" ] && is_number "${1%%:*}" 0 65535 && is_number "${1#*:}" "${1%%:*}" 65535 &&
        [ $((${1#*:} - ${1%%:*})) -lt 64 ] ;;
    *) is_number "$1" 0 65535 ;;
    esac
}

# True for an address or a prefix. For IPv6 only the characters are checked: iptables reports any other error, and then
# changes nothing.
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

# Prints MARK in lower-case hexadecimal if exactly one of its 32 bits is set; false otherwise.
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
    --iptables)
        case $2 in auto | nft | legacy) BACKEND=$2 ;; *)
            die $EX_USAGE "--iptables: '$2' is not known; give auto, nft or legacy" ;;
        esac
        ;;
    --flags-from)
        [ -n "$2" ] || die $EX_USAGE "--flags-from: give the program that prints the flags, such as tcpknock-$ROLE"
        FLAGS_FROM=$2
        ;;
    *) set_own_option "$1" "$2" ;;
    esac
}

# Sets COMMAND and the options, those that only one of the scripts has by `forget_own_options`, `set_own_option`,
# `set_own_switch` and `check_own_options` of that script. Checks everything before anything is changed.
parse_command_line() { # COMMANDS ARGUMENT...
    local commands="$1" flag value name
    shift
    COMMAND='' BACKEND=auto GIVEN_PORTS='' JSON='' FLAGS_FROM='' GIVEN=''
    forget_own_options
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
                if [ "$name" = --json ]; then JSON=yes; else set_own_switch "$name"; fi
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
            # The flags of `up`, without those that matter only to this run.
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
    [ -z "$FLAGS_FROM" ] || [ "$COMMAND" = up ] || die $EX_USAGE "--flags-from goes with 'up', not with '$COMMAND'"
    # Sorted and without duplicates, so that the same ports always give the same rules.
    [ -z "$GIVEN_PORTS" ] || PORTS=$(lines_of "$GIVEN_PORTS" | sort -nu | tr '\n' ' ')
    PORTS=${PORTS% }
    check_own_options
}

# Parses a list of flags and, after it, more arguments.
parse_flags_and() { # COMMANDS FLAGS ARGUMENT...
    local commands="$1" flags="$2" flag count
    shift 2
    count=$#
    for flag in $flags; do set -- "$@" "$flag"; done
    while [ "$count" -gt 0 ]; do
        set -- "$@" "$1"
        shift
        count=$((count - 1))
    done
    parse_command_line "$commands" "$@"
}

# Prints the words of a list, each on a line.
lines_of() { # LIST
    local word
    for word in $1; do printf '%s\n' "$word"; done
}

# Prints a list of words sorted and without duplicates.
in_order() { lines_of "$1" | LC_ALL=C sort -u | tr '\n' ' ' | sed 's/ *$//'; } # LIST

# Reads the command line and, if it names a program, the flags that the program prints for its configuration. Flags on
# the command line come last and so override those. False if the program failed. `up $(tcpknock-server
# --firewall-flags)` would hide a failure: if the configuration cannot be read, it is just `up`.
read_command_line() { # COMMANDS ARGUMENT...
    local commands="$1" printed
    shift
    parse_command_line "$commands" "$@"
    [ -n "$FLAGS_FROM" ] || return 0
    printed=$(run_words "$FLAGS_FROM --firewall-flags") || return
    case $printed in *--target-port*) ;; *) return 1 ;; esac
    parse_flags_and "$commands" "$printed" "$@"
}

# Runs a command line: a program and its arguments, without quotes.
run_words() { # WORDS
    local words="$1" word
    set --
    for word in $words; do set -- "$@" "$word"; done
    "$@"
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
