# shellcheck shell=dash
# Tables of iptables, read and changed: part of common.sh. Sets FAMILIES, the IP versions of this kernel, BACKEND, the kind
# of iptables (nft or legacy), and IN_USE, the kinds that have rules of ours.

# --- which iptables ----------------------------------------------------------------------------------------------

# Prints the kind of the plain iptables. The two kinds keep their rules in different places in the kernel, and neither
# sees the other's.
system_backend() {
    case $(iptables --version 2>/dev/null) in *nf_tables*) echo nft ;; *) echo legacy ;; esac
}

program() { # FAMILY [save|restore]: prints the name of the program for the chosen backend
    local name=iptables
    [ "$1" = 4 ] || name=ip6tables
    # A distribution with only one of the two may install it under the plain name alone.
    command -v "$name-$BACKEND" >/dev/null && name=$name-$BACKEND
    printf '%s\n' "$name${2:+-$2}"
}

backend_exists() { # BACKEND
    command -v "iptables-$1" >/dev/null || { command -v iptables >/dev/null && [ "$(system_backend)" = "$1" ]; }
}

# Prints the backends that have rules of this script.
backends_with_rules() {
    local BACKEND family table
    for BACKEND in nft legacy; do
        backend_exists "$BACKEND" || continue
        for family in $FAMILIES; do
            for table in $TABLES; do
                [ -n "$(own_rules "$family" "$table")" ] && printf '%s ' "$BACKEND" && continue 3
            done
        done
    done
}

# Sets FAMILIES, BACKEND, and IN_USE, the backends that have rules of ours.
choose_backend() {
    local family
    FAMILIES='4 6'
    if ! [ -e /proc/net/if_inet6 ]; then
        FAMILIES=4
        [ "$COMMAND" != up ] || echo "note: this kernel runs without IPv6, so there are rules for IPv4 only"
    fi
    backend_exists nft || backend_exists legacy ||
        die $EX_UNAVAILABLE "the program 'iptables' is missing; install it (Debian package: iptables)"
    require_nft_for_unreadable
    IN_USE=$(backends_with_rules)
    if [ "$BACKEND" = auto ]; then
        BACKEND=${IN_USE%% *}
        BACKEND=${BACKEND:-$(system_backend)}
    elif ! backend_exists "$BACKEND"; then
        die $EX_UNAVAILABLE "--iptables $BACKEND: there is no iptables-$BACKEND here; nothing was changed"
    else
        if [ "$COMMAND" = up ] && [ -n "$IN_USE" ] && [ "$IN_USE" != "$BACKEND " ]; then
            die $EX_FAILED "the rules are already up in iptables-${IN_USE% }; run '$(type_this down)' first, or leave" \
                "out --iptables; nothing was changed"
        fi
        case " $IN_USE" in *" $BACKEND "*) IN_USE=$BACKEND ;; *) IN_USE='' ;; esac
    fi
    for family in $FAMILIES; do
        require_tools "$(program "$family" restore)" iptables "$(program "$family" save)" iptables
    done
}

# --- rules in the kernel -----------------------------------------------------------------------------------------

# Prints a table as iptables-save does. The result is cached until we change the table.
saved_table() { # FAMILY TABLE
    local names=/proc/net/ip_tables_names file="$WORK/table.$BACKEND.$1.$2"
    [ "$1" = 4 ] || names=/proc/net/ip6_tables_names
    if [ ! -e "$file" ]; then
        # Listing a legacy table creates it, and nothing removes it again. So check first whether it exists.
        if [ "$BACKEND" = legacy ] && ! grep -qsx "$2" "$names"; then
            : >"$file"
        else
            "$(program "$1" save)" -t "$2" >"$file" 2>"$WORK/errors" || cp "$WORK/errors" "$(unreadable_file "$1" "$2")"
            # iptables-nft reports such a table in a comment, with exit status 0, and leaves out the whole table.
            if grep -q '^# Table .* is incompatible' "$file"; then
                sed -n 's/^# //p' "$file" >"$(unreadable_file "$1" "$2")"
                readable_chains "$1" "$2" >"$file"
            fi
        fi
    fi
    cat "$file"
}

# --- tables that iptables-nft cannot read
# One native nft rule (`fib`, `numgen`, ...) makes iptables-nft refuse to read or save the whole table. It can still
# read each chain without such a rule, so ours too, and nft can list and delete the hooks.

unreadable_file() { echo "$WORK/unreadable.$BACKEND.$1.$2"; } # FAMILY TABLE

is_unreadable() { # FAMILY TABLE
    saved_table "$1" "$2" >/dev/null
    [ -e "$(unreadable_file "$1" "$2")" ]
}

nft_family() { [ "$1" = 4 ] && echo ip || echo ip6; } # FAMILY

# Prints the readable chains of a table, in the format of iptables-save.
readable_chains() { # FAMILY TABLE
    local chain
    nft list table "$(nft_family "$1")" "$2" 2>/dev/null | awk '$1 == "chain" { print $2 }' | while read -r chain; do
        "$(program "$1")" -w -t "$2" -S "$chain" 2>/dev/null
    done | sed -n -e 's/^-N \(.*\)/:\1 - [0:0]/p' -e '/^-A/p'
}

# Ends `up` before it changes anything if there is a table that it could not change safely.
refuse_unreadable() {
    local family table
    for family in $FAMILIES; do
        for table in $TABLES; do
            is_unreadable "$family" "$table" || continue
            die $EX_FAILED "IPv$family, table $table cannot be read by iptables-$BACKEND:" \
                "$(tr '\n' ' ' <"$(unreadable_file "$family" "$table")"); it holds rules of another program." \
                "'nft list table $(nft_family "$family") $table' shows them; move those that are not of iptables into" \
                "a table of another name, or add --iptables legacy; nothing was changed"
        done
    done
}

# Removes our rules from a table that iptables-nft cannot read: the hooks by handle, then our chains, in one
# transaction.
clear_unreadable_table() { # FAMILY TABLE CREATED
    local family chain table="$2" number="$1" created="$3"
    family=$(nft_family "$1")
    if ! nft -a list table "$family" "$table" 2>"$WORK/errors" | awk -v own="$OWN-" -v where="$family $table" '
        $1 == "chain" { chain = $2; if (index(chain, own) == 1) chains[++count] = chain; next }
        index(chain, own) == 1 { next }
        { for (i = 1; i < NF; i++) if (($i == "jump" || $i == "goto") && index($(i + 1), own) == 1)
            print "delete rule " where " " chain " handle " $NF }
        END {
            for (i = 1; i <= count; i++) print "flush chain " where " " chains[i]
            for (i = 1; i <= count; i++) print "delete chain " where " " chains[i]
        }' >"$WORK/removal" || ! nft -f "$WORK/removal" 2>"$WORK/errors"; then
        complain "could not take the rules out of IPv$number, table $table, with nft:"
        sed 's/^/    /' "$WORK/errors" >&2
        return 1
    fi
    table_has_changed "$number" "$table"
    for chain in $created; do
        [ "$chain" != TABLE ] || continue
        # Unlike iptables, nft deletes a chain together with its rules. The listing of an empty chain has five lines.
        [ "$(nft list chain "$family" "$table" "$chain" 2>/dev/null | grep -c '')" != 5 ] ||
            nft delete chain "$family" "$table" "$chain" 2>/dev/null
    done
    case " $created " in *" TABLE "*) remove_created "$number" "$table" TABLE ;; esac
}

tables_may_have_changed() { rm -f "$WORK"/table.* "$WORK"/unreadable.*; }
table_has_changed() { rm -f "$WORK/table.$BACKEND.$1.$2" "$(unreadable_file "$1" "$2")"; } # FAMILY TABLE

# Prints our rules in the kernel in the format of iptables-save: our chains, their rules, and the hooks into them.
own_rules() { # FAMILY TABLE
    saved_table "$1" "$2" | grep -E "^:$OWN-|^-A $OWN-|^-A .* -j $OWN-"
}

# Prints the values of the notes in the kernel that are called NAME.
notes() { # FAMILY TABLE NAME
    own_rules "$1" "$2" | sed -n "s/^-A $OWN-NOTE .*--comment \"\{0,1\}$3=\([^\" ]*\).*/\1/p"
}

note() { printf -- '-A %s-NOTE -m comment --comment %s=%s\n' "$OWN" "$1" "$2"; } # NAME VALUE

# Prints the wanted rules, with notes of the requested values; prints nothing if there are no rules.
wanted_with_notes() { # FAMILY TABLE
    local port place rules
    rules=$(wanted_rules "$1" "$2")
    [ -n "$rules" ] || return 0
    printf '%s\n' "$rules"
    for port in $PORTS; do note target-port "$port"; done
    for place in $PROTECT; do note protect "$place"; done
    for place in $EXEMPT; do note exempt "$place"; done
    note queue-num "$QUEUE"
    [ -z "$SETS" ] || note sets "$SETS"
    [ -z "$KEEPING" ] || note keeping "$KEEPING"
    [ -z "$MARK" ] || note mark "$MARK"
    [ -z "$FILTER" ] || note kernel-filter "$FILTER"
    [ "$ON_FAILURE" = drop ] || note on-failure "$ON_FAILURE"
}

# Prints the iptables-restore input that turns the rules in file NOW into those in file WANTED.
transaction() { # TABLE NOW WANTED
    awk -v table="$1" -v own="$OWN-" -v now="$2" '
        FILENAME == now && /^-A/ && index($2, own) != 1 { unhook[++unhooks] = $0 }
        FILENAME == now && /^:/ { chains[substr($1, 2)] = 1 }
        FILENAME == now { next }
        /^:/ { chains[substr($1, 2)] = keep[substr($1, 2)] = 1; next }
        index($2, own) == 1 { chains[$2] = keep[$2] = 1; rules[++count] = $0; next }
        { where = $2; sub(/^-A [^ ]+ /, ""); hooks[++hook] = "-I " where " " (++place[where]) " " $0 }
        END {
            print "*" table
            for (chain in chains) print ":" chain " - [0:0]"  # creates it, or empties it
            for (i = 1; i <= unhooks; i++) { sub(/^-A/, "-D", unhook[i]); print unhook[i] }
            for (i = 1; i <= count; i++) print rules[i]
            for (i = 1; i <= hook; i++) print hooks[i]
            for (chain in chains) if (!(chain in keep)) print "-X " chain
            print "COMMIT"
        }' "$2" "$3"
}

# Replaces our rules in a table with those in the file: all of them, or none if the kernel refuses one.
put_rules() { # FAMILY TABLE FILE
    own_rules "$1" "$2" >"$WORK/now"
    transaction "$2" "$WORK/now" "$3" >"$WORK/restore"
    table_has_changed "$1" "$2"
    "$(program "$1" restore)" --noflush -w <"$WORK/restore" 2>"$WORK/errors" && return
    complain "$(program "$1" restore) refused the rules for table $2:"
    grep -v '^# Warning' "$WORK/errors" | sed 's/^/    /' >&2
    return 1
}

# Prints notes of what `up` is about to create. With the nft backend, tables and built-in chains are created on first
# use, and `down` removes those that `up` created. The iptables programs cannot list them, so this takes nft. (The
# legacy backend can create tables but never remove them: an empty one stays, and does nothing.)
note_created() { # FAMILY TABLE
    local chain
    if [ -n "$(own_rules "$1" "$2")" ]; then # already up: the earlier notes still hold
        for chain in $(notes "$1" "$2" created); do note created "$chain"; done
        return
    fi
    [ "$BACKEND" = nft ] && command -v nft >/dev/null || return 0
    # Copy the notes of the other script and of other instances: the last one to go removes what they created.
    saved_table "$1" "$2" |
        sed -n "s/^-A TCPKNOCK-[A-Za-z0-9_-]*-NOTE \(.*created=.*\)/-A $OWN-NOTE \1/p"
    nft list chains "$(nft_family "$1")" 2>/dev/null | awk -v table="$2" -v note="-A $OWN-NOTE -m comment --comment created=" '
        $1 == "table" { there = $3 == table; if (there) found = 1 }
        there && $1 == "chain" { have[$2] = 1 }
        END {
            if (!found) print note "TABLE"
            n = split(table == "raw" ? "PREROUTING OUTPUT" : "PREROUTING INPUT FORWARD OUTPUT POSTROUTING", all, " ")
            for (i = 1; i <= n; i++) if (!(all[i] in have)) print note all[i]
        }'
}

remove_created() { # FAMILY TABLE CREATED
    local family="$1" table="$2" created="$3" chain nft_family
    nft_family=$(nft_family "$1")
    table_has_changed "$family" "$table"
    for chain in $created; do
        # This fails if the chain has rules of others by now, or does not exist; both are fine.
        [ "$chain" = TABLE ] || "$(program "$family")" -w -t "$table" -X "$chain" 2>/dev/null
    done
    case " $created " in *" TABLE "*)
        # The listing of an empty table is exactly these two lines.
        [ "$(nft list table "$nft_family" "$table" 2>/dev/null)" = "table $nft_family $table {
}" ] && nft delete table "$nft_family" "$table"
        ;;
    esac
    return 0
}

# Removes our rules from a table.
clear_table() { # FAMILY TABLE
    local created
    [ -n "$(own_rules "$1" "$2")" ] || return 0
    created=$(notes "$1" "$2" created | tr '\n' ' ')
    if is_unreadable "$1" "$2"; then
        clear_unreadable_table "$1" "$2" "$created"
        return
    fi
    put_rules "$1" "$2" /dev/null || return
    remove_created "$1" "$2" "$created"
}

# Removes our rules from every backend that has any, and checks that they are gone.
take_down() {
    local BACKEND family table failed=0
    for BACKEND in $IN_USE; do
        for family in $FAMILIES; do
            for table in $TABLES; do
                clear_table "$family" "$table" || failed=1
                table_has_changed "$family" "$table"
                [ -n "$(own_rules "$family" "$table")" ] || continue
                complain "there are still rules of $OWN in IPv$family, table $table, iptables-$BACKEND"
                failed=1
            done
        done
    done
    return $failed
}

# Without nft, a table that iptables-nft cannot read cannot be examined.
require_nft_for_unreadable() {
    local BACKEND=nft family table
    backend_exists nft && ! command -v nft >/dev/null || return 0
    for family in $FAMILIES; do
        for table in $TABLES; do
            ! is_unreadable "$family" "$table" || die $EX_UNAVAILABLE "IPv$family, table $table cannot be read by" \
                "iptables-nft, and the program 'nft' is missing; install it (Debian package: nftables);" \
                "nothing was changed"
        done
    done
}

# Puts the wanted rules into all families and tables. If one is refused, puts everything back as it was.
put_all() {
    local family table place done_places=''
    for family in $FAMILIES; do
        for table in $TABLES; do
            place=$family.$table
            own_rules "$family" "$table" >"$WORK/before.$place"
            wanted_with_notes "$family" "$table" >"$WORK/wanted.$place"
            # A table that should have no rules of ours is left alone, or cleared of everything that was created for it.
            if [ ! -s "$WORK/wanted.$place" ] && clear_table "$family" "$table"; then
                done_places="$place $done_places"
                continue
            fi
            note_created "$family" "$table" >>"$WORK/wanted.$place"
            if put_rules "$family" "$table" "$WORK/wanted.$place"; then
                done_places="$place $done_places"
                continue
            fi
            for place in $done_places; do
                if [ -s "$WORK/before.$place" ]; then
                    put_rules "${place%%.*}" "${place#*.}" "$WORK/before.$place"
                else
                    clear_table "${place%%.*}" "${place#*.}"
                fi || die $EX_FAILED "could not undo the change in IPv${place%%.*}, table ${place#*.};" \
                    "run '$(type_this down)'"
            done
            complain "the rules for IPv$family did not go in, so everything is as it was before"
            return 1
        done
    done
}
