# SPDX-License-Identifier: GPL-2.0-or-later
# Finds rules of other programs that get in the way of ours. common.sh runs it, and says what it prints.
#
#   awk -v role=server -v own=TCPKNOCK-SRV- -v ports="22 443" -v queue=100 -v mark=0x1000 -v gateway= -v form=json \
#       -v only= -f foreign.awk kind=iptables family=4 backend=nft program=iptables-nft FILE ... kind=nft FILE
#
# The files are the output of iptables-save and of `nft -a list ruleset`. Each rule that is found is printed as a JSON
# object (form=json) or, if it does harm, as a line for people (form=text). In the JSON:
# - effect: backend (it is in the other iptables), order (it decides before our rules), bypass (it leads past the knock), filter (it drops what has been
#   admitted), queue (it uses our queue), mark (it uses our bit), tracking or translation;
# - severity: note, warning or error; what: the effect in words; rule: its place and text; undo: a command line that
#   takes the rule out, or the effect away;
# - port, and mended_by ("up" if our rules need only come first again, else "rule"): of a bypass only.
#
# A condition that is not known counts as met, and a rule for only some packets of a port counts, too, so nothing that
# could do harm is left out.

BEGIN {
    port_count = split(ports, port_list, " ")
    bit = number(mark)
    queue_first = queue_last = queue + 0
    if (split(queue, ends, ":") == 2) { queue_first = ends[1] + 0; queue_last = ends[2] + 0 }
}

# --- reading -----------------------------------------------------------------------------------------------------

kind == "iptables" && /^\*/ {
    table = substr($0, 2); id = program SUBSEP table
    tables[++table_count] = id; program_of[id] = program; name_of[id] = table; first_rule[id] = rule_count + 1
    if (backend == "nft") is_seen[family == 4 ? "ip" : "ip6", table] = 1
}
kind == "iptables" && /^:/ && NF >= 2 {
    chain = substr($1, 2); policy[id, chain] = $2
    if ($2 != "-") built_in[id, ++built_in_count[id]] = chain
    if (index(chain, own) == 1) has_ours[backend] = 1
}
kind == "iptables" && /^-A / { add_rule($0) }

kind == "nft" { add_native($0) }

function add_rule(line,    n, count, i, all) {
    count = words(line, all)
    n = ++rule_count; last_rule[id] = n
    text[n] = line; chain_of[n] = all[2]; in_chain[id, all[2], ++size[id, all[2]]] = n
    for (i = 3; i <= count; i++) {
        if (all[i] == "--comment" && i < count) i++
        else if (all[i] == "-m" && all[i + 1] == "comment") i++
        else word[n, ++word_count[n]] = all[i]
    }
    target[n] = value(n, "-j", "-g")
    ours[n] = all[2] ~ /^TCPKNOCK-/ || target[n] ~ /^TCPKNOCK-/
    if (!ours[n]) has_others[backend] = 1
}

# Splits a line at spaces, as a shell would: "..." is one word, and a backslash in it escapes the next character.
function words(line, out,    n, i, c, word, is_word, is_quoted) {
    if (line !~ /"/) return split(line, out, " ")
    split("", out)
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        if (c == "\\" && is_quoted) word = word substr(line, ++i, 1)
        else if (c == "\"") { is_quoted = !is_quoted; is_word = 1 }
        else if (c != " " || is_quoted) { word = word c; is_word = 1 }
        else if (is_word) { out[++n] = word; word = is_word = "" }
    }
    if (is_word) out[++n] = word
    return n
}

function number(text,    i, sum, digit) { # 0x10 or 16; -1 if it is neither, or has more than 32 bits
    if (text ~ /^0x[0-9a-fA-F]+$/) {
        for (i = 3; i <= length(text); i++) {
            digit = index("0123456789abcdef", tolower(substr(text, i, 1))) - 1
            sum = sum * 16 + digit
        }
    } else if (text ~ /^[0-9]+$/) sum = text + 0
    else return -1
    return sum <= 4294967295 ? sum : -1
}

function has_bit(mark) { return int(mark / bit) % 2 }

# --- what a rule says --------------------------------------------------------------------------------------------

# The value after an option, and whether there is a "!" before the option.
function value(n, option, other,    i) {
    for (i = 1; i < word_count[n]; i++) {
        if (word[n, i] != option && (other == "" || word[n, i] != other)) continue
        negated = i > 1 && word[n, i - 1] == "!"
        return word[n, i + 1]
    }
    negated = 0
    return ""
}

function has_word(n, wanted,    i) {
    for (i = 1; i <= word_count[n]; i++) if (word[n, i] == wanted) return 1
    return 0
}

# Whether a list of ports and ranges, such as 22,80:90, contains a port; -1 if a part of it is not a number.
function list_has(list, port, dash,    count, i, parts, ends, n, low, high, found) {
    count = split(list, parts, ",")
    for (i = 1; i <= count; i++) {
        if (parts[i] == "") continue
        n = split(parts[i], ends, dash)
        if (n > 2) return -1
        low = ends[1] == "" ? 0 : number(ends[1])
        high = n == 1 ? low : ends[2] == "" ? 65535 : number(ends[2])
        if (low < 0 || high < 0 || low > 65535 || high > 65535) return -1
        if (low <= port && port <= high) found = 1
    }
    return found + 0
}

# Whether a rule can match packets to a TCP port (to = 1), or from it, that do not use the loopback interface.
function concerns(n, port, to) {
    if (!((n, port, to) in known)) known[n, port, to] = may_concern(n, port, to)
    return known[n, port, to]
}

function may_concern(n, port, to,    text) {
    text = tolower(value(n, "-p", "--protocol"))
    if (text != "" && (text ~ /^(tcp|6|all|0)$/) == negated) return 0
    if (value(n, "-i") == "lo" && !negated) return 0
    if (value(n, "-o") == "lo" && !negated) return 0
    text = to ? value(n, "--dport", "--dports") : value(n, "--sport", "--sports")
    return text == "" || list_has(text, port, ":") != negated
}

# Whether a rule tests more than protocol and ports.
function is_conditional(n,    i) {
    for (i = 1; i <= word_count[n] && word[n, i] !~ /^-[jg]$/; i++)
        if (word[n, i] ~ /^-/ && word[n, i] !~ /^-(p|m|-dports?|-sports?|-ports)$/) return 1
    return 0
}

# Whether its conditions leave out many packets of a port. A state that established connections have does not: the third
# ACK of a handshake has it, too.
function is_only_for_some(n,    states) {
    states = value(n, "--ctstate", "--state")
    return !(states ~ /ESTABLISHED/ && !negated) && is_conditional(n)
}

function is_final(n) {
    return target[n] ~ /^(ACCEPT|DROP|REJECT|QUEUE|NFQUEUE|STOLEN|TPROXY|REDIRECT|DNAT)$/
}

function drops(n) { return target[n] == "DROP" || target[n] == "REJECT" }

# Whether a range of queues, such as 100 or 100:103, has any of ours.
function is_our_queue(range, dash,    ends, n) {
    n = split(range, ends, dash)
    if (number(ends[1]) < 0 || number(ends[n]) > 65535 || ends[n] + 0 < ends[1] + 0) return 0
    return ends[1] + 0 <= queue_last && ends[n] + 0 >= queue_first
}

function queues_to_ours(n,    range) {
    if (target[n] != "NFQUEUE") return 0
    range = value(n, "--queue-balance")
    if (range != "") return range ~ /:/ && is_our_queue(range, ":")
    range = value(n, "--queue-num")
    return is_our_queue(range == "" ? 0 : range, ":")
}

# Sets new_mark and new_mask to those of a MARK or CONNMARK target that sets a value: the bits of the mask are cleared,
# then the value is XORed in.
function sets_mark(n,    parts, count) {
    count = split(value(n, "--set-xmark", "--set-mark"), parts, "/")
    if (!count || (new_mark = number(parts[1])) < 0) return 0
    new_mask = count > 1 ? number(parts[2]) : -1
    if (new_mask < 0) new_mask = 4294967295
    return 1
}

function takes_bit(n, option,    mask) {
    mask = number(value(n, option))
    return mask < 0 || has_bit(mask)
}

# What a rule does with our bit, as "SEVERITY WORDS"; nothing if it leaves it alone.
function use_of_mark(n,    parts, count, mask) {
    if (target[n] == "CONNMARK") {
        if (sets_mark(n)) {
            if (has_bit(new_mark)) return "error a rule marks connections as verified that are not"
            if (has_bit(new_mask)) return "error a rule takes our bit out of verified connections, which cuts them off"
            return ""
        }
        # The packets of a verified connection do not carry the bit; only the connection's mark does.
        if (has_word(n, "--save-mark") && takes_bit(n, "--ctmask"))
            return "error a rule copies packet marks, without our bit, to verified connections"
        if (has_word(n, "--restore-mark") && takes_bit(n, "--nfmask"))
            return "warning a rule copies our bit from connections to their packets"
        return ""
    }
    if (target[n] == "MARK") {
        # Rules in POSTROUTING come after ours.
        if (chain_of[n] == "POSTROUTING" || !sets_mark(n) || !has_bit(new_mark)) return ""
        return "error a rule sets the bit that says 'verified' on packets"
    }
    count = split(value(n, "--mark"), parts, "/")
    if (!count || number(parts[1]) < 0) return ""
    mask = count > 1 ? number(parts[2]) : -1
    return has_bit(number(parts[1])) && (mask < 0 || has_bit(mask)) ? "warning a rule looks for our bit" : ""
}

# Whether a rule can set the bit where nothing has been verified.
function verifies(n) { return target[n] ~ /MARK$/ && use_of_mark(n) ~ /^error/ && sets_mark(n) && has_bit(new_mark) }

# --- the way of a packet through the rules -----------------------------------------------------------------------
# Follows jumps, in the order in which a packet meets the rules. A chain is walked at most twice: once under a condition
# and once without, so this ends. (Without recursion, for which some versions of awk have little room.) It fills
# reached[1...], top[...], the rule of the first chain that led there, and is_for_some[...]. The packets are those to or
# from walk_port; walk_mode is `before` or `behind` our rules, of whose chains nothing is said then, `new` for the first
# packet of a connection, or empty.

function walk(id, chain, first, last, port, to, mode,    n, some) {
    walk_port = port; walk_to = to; walk_mode = mode; reached_count = 0
    split("", walked); split("", goes_on)
    level = is_back = 0
    enter(chain, first, last, 0, 0)
    while (level > 0) {
        if (is_back) {
            is_back = 0
            # A goto does not return to this chain.
            if (!jump_is_for_some[level] && (!packets_go_on || has_word(jump[level], "-g"))) {
                leave(packets_go_on || some_return[level])
                continue
            }
        }
        if (next_place[level] > last_place[level]) { leave(1); continue }
        n = in_chain[id, chain_at[level], next_place[level]++]
        if (!meets(n)) continue
        some = mode == "before" ? is_only_for_some(n) : is_conditional(n)
        if ((id, target[n]) in policy) {
            jump[level] = n; jump_is_for_some[level] = some
            enter(target[n], 1, size[id, target[n]], from[level] ? from[level] : n, some_enter[level] || some)
            continue
        }
        reached[++reached_count] = n; top[reached_count] = from[level] ? from[level] : n
        is_for_some[reached_count] = some_enter[level] || some
        if (target[n] == "RETURN" && some) some_enter[level] = some_return[level] = 1
        else if (target[n] == "RETURN") leave(1)
        else if (is_final(n) && !some) leave(some_return[level])
    }
}

function enter(chain, first, last, rule, some) {
    if (chain in walked && (!walked[chain] || some)) {
        packets_go_on = chain in goes_on ? goes_on[chain] : 1
        is_back = 1
        return
    }
    level++
    if (level > 1) walked[chain] = some
    chain_at[level] = chain; next_place[level] = first; last_place[level] = last
    from[level] = rule; some_enter[level] = some; some_return[level] = 0
}

# Ends the walk of a chain; `go_on` is whether packets go on after it.
function leave(go_on) {
    is_back = 1; packets_go_on = go_on
    if (level > 1) goes_on[chain_at[level]] = go_on
    level--
}

function meets(n,    states) {
    if (walk_mode ~ /^be/ && ours[n]) return 0
    if (walk_mode == "new") {
        states = value(n, "--ctstate", "--state")
        if (states != "" && (states ~ /NEW/) == negated) return 0
    }
    return concerns(n, walk_port, walk_to)
}

# --- rules of iptables -------------------------------------------------------------------------------------------

END {
    # Our hooks: the rules in built-in chains that lead to chains of ours.
    for (t = 1; t <= table_count; t++)
        for (c = 1; c <= built_in_count[tables[t]]; c++) look_before_ours(tables[t], built_in[tables[t], c])
    for (n = 1; n <= native_count; n++) if (!is_of_iptables(n)) look_at_native_chain(n)
    if (only == "bypass") exit
    for (t = 1; t <= table_count; t++) look_at_filter(tables[t])
    for (name in has_ours) {
        other = name == "nft" ? "legacy" : "nft"
        if (!(other in has_ours) && other in has_others)
            say("backend", "note", "our rules are in iptables-" name ", others in iptables-" other ": both hold, and neither " \
                "program shows the other's (iptables-nft-save and iptables-legacy-save do)")
    }
    for (t = 1; t <= table_count; t++) {
        id = tables[t]
        for (n = first_rule[id]; n <= last_rule[id]; n++)
            if (!ours[n] && queues_to_ours(n))
                say_rule(id, n, n, "queue", "error", "a rule of another program uses the daemon's queue")
    }
    for (t = 1; t <= table_count; t++) {
        id = tables[t]
        if (role == "server") {
            look_for(id, "mark", "", 2)
            look_for(id, "tracking", "", 2)
            look_for(id, "translation", "^(PREROUTING|INPUT)$", 1)
        } else look_for(id, "translation", "^POSTROUTING$", 1)
    }
    for (n = 1; n <= native_count; n++) if (!is_of_iptables(n)) look_at_native(n)
}

function look_before_ours(id, chain,    i, n, p, last, to, hooks, hook, h, direction) {
    for (i = 1; i <= size[id, chain]; i++) {
        n = in_chain[id, chain, i]
        if (index(target[n], own) != 1 || target[n] == own "KEPT") continue
        to = value(n, "--dport") != ""
        last[target[n], to ? value(n, "--dport") : value(n, "--sport")] = i
        if (!(target[n] in direction)) hooks[++h] = target[n]
        direction[target[n]] = to
    }
    for (i = 1; i <= h; i++) for (p = 1; p <= port_count; p++) {
        hook = hooks[i]
        if (!((hook, port_list[p]) in last)) continue
        if (chain == "PREROUTING" && hook == own "UNMARK") look_behind_unmark(id, last[hook, port_list[p]] + 1, port_list[p])
        walk(id, chain, 1, last[hook, port_list[p]] - 1, port_list[p], direction[hook], "before")
        if (chain == "PREROUTING" && hook == own "IN" && role == "server") say_bypasses(id, port_list[p])
        say_order(id, name_of[id] == "raw" && role == "server")
    }
}

# Whether a reached rule keeps packets from our hook, or is the first that does so of a rule of the built-in chain.
function decides(r) {
    if (!is_final(reached[r]) && !(target[reached[r]] == "RETURN" && top[r] == reached[r])) return 0
    if (top[r] in decided) return 0
    return decided[top[r]] = 1
}

function say_order(id, is_raw,    r, n, severity) {
    for (r = 1; r <= reached_count; r++) {
        n = reached[r]
        if (name_of[id] == "mangle" && target[n] == "MARK" && sets_mark(n) && has_bit(new_mask) && !has_bit(new_mark))
            say_order_of(id, n, n, is_for_some[r] ? "warning" : "error",
                "a rule before ours takes the daemon's mark off packets, which never get further then")
    }
    split("", decided)
    for (r = 1; r <= reached_count; r++) {
        if (!decides(r)) continue
        n = reached[r]
        # Our rules in the raw table only save time: the daemon decides in any case.
        if (drops(n)) severity = is_for_some[r] ? "note" : "warning"
        else severity = is_raw ? "note" : is_for_some[r] ? "warning" : "error"
        say_order_of(id, n, top[r], severity, drops(n) ? "a rule before ours drops packets of the ports" \
            : "a rule before ours decides about packets of the ports")
    }
}

# One rule can come before the hooks of several ports. Ten are enough.
function say_order_of(id, n, removed, severity, what) {
    if ((n, what, severity) in order_said || order_count >= 10) return
    order_said[n, what, severity] = 1; order_count++
    say_rule(id, n, removed, "order", severity, what)
}

# Rules that mark packets come first: they also open the gate of the kernel filter.
function say_bypasses(id, port,    r) {
    for (r = 1; r <= reached_count; r++) if (verifies(reached[r])) say_bypass(id, reached[r], port, "up")
    split("", decided)
    for (r = 1; r <= reached_count; r++)
        if (decides(r) && !drops(reached[r])) say_bypass(id, reached[r], port, "up")
}

# Our hook clears a bit that was set before it, but not one that is set behind it.
function look_behind_unmark(id, first, port,    r) {
    walk(id, "PREROUTING", first, size[id, "PREROUTING"], port, 1, "behind")
    for (r = 1; r <= reached_count; r++)
        if (target[reached[r]] == "MARK" && verifies(reached[r])) say_bypass(id, reached[r], port, "rule")
}

function look_at_filter(id,    p, reason, place) {
    if (role != "server" || gateway || name_of[id] != "filter" || !((id, "INPUT") in policy)) return
    for (p = 1; p <= port_count; p++) {
        if ((reason = dropping(id, port_list[p])) == "") continue
        place = program_of[id]
        say("filter", "warning", place " drops what the daemon has admitted to port " port_list[p], "", reason,
            place " -I INPUT -p tcp --dport " port_list[p] " -j ACCEPT")
    }
}

# The rule or policy that drops the first packet of a connection; nothing if it can get through.
function dropping(id, port,    r) {
    walk(id, "INPUT", 1, size[id, "INPUT"], port, 1, "new")
    for (r = 1; r <= reached_count; r++) {
        if (!is_final(reached[r])) continue
        if (!drops(reached[r])) return ""
        if (!is_for_some[r]) return text[reached[r]]
    }
    return policy[id, "INPUT"] == "DROP" ? "the policy of INPUT" : ""
}

# What a rule of another program does that is of interest, as "SEVERITY-IF-FOR-ALL SEVERITY-IF-FOR-SOME WORDS".
function effect_of(n, topic, port,    text) {
    if (topic == "mark") {
        text = use_of_mark(n)
        return text == "" ? "" : substr(text, 1, index(text, " ")) text
    }
    if (topic == "tracking" && (target[n] == "NOTRACK" || target[n] == "CT" && has_word(n, "--notrack")))
        return "error warning port " port " is excluded from connection tracking, so no connection can be verified"
    if (topic == "translation" && role == "server" && target[n] ~ /^(DNAT|REDIRECT|TPROXY|NETMAP)$/)
        return "error warning port " port " is translated on this host, where the knock cannot follow"
    # A rule for a certain interface or network, such as one for containers, may not concern our connections.
    if (topic == "translation" && role == "client" && target[n] ~ /^(MASQUERADE|SNAT|NETMAP)$/)
        return "warning note this host changes its source address behind the daemon, for which the code is"
    return ""
}

function look_for(id, topic, chains, ways,    n, c, p, to, r, count, seen, found, some, s, what, severities) {
    for (n = first_rule[id]; n <= last_rule[id]; n++) if (!ours[n] && effect_of(n, topic, 0) != "") break
    if (n > last_rule[id]) return
    for (p = 1; p <= port_count; p++) {
        count = 0
        for (c = 1; c <= built_in_count[id]; c++) {
            if (built_in[id, c] !~ chains) continue
            for (to = 1; to > 1 - ways; to--) {
                walk(id, built_in[id, c], 1, size[id, built_in[id, c]], port_list[p], to, "")
                for (r = 1; r <= reached_count; r++) { found[++count] = reached[r]; some[count] = is_for_some[r] }
            }
        }
        # If a rule is reached in two ways, the one without a condition counts.
        for (s = 0; s <= 1; s++) for (r = 1; r <= count; r++) {
            n = found[r]
            if (some[r] != s || ours[n] || text[n] in seen || (what = effect_of(n, topic, port_list[p])) == "") continue
            seen[text[n]] = 1
            split(what, severities, " ")
            sub(/^[a-z]+ [a-z]+ /, "", what)
            say_rule(id, n, n, topic, severities[1 + s], what)
        }
    }
}

# --- rules of nft ------------------------------------------------------------------------------------------------

function add_native(line,    n, handle, w) {
    sub(/^[ \t]+/, "", line)
    handle = ""
    if (match(line, / # handle [0-9]+$/)) {
        handle = substr(line, RSTART + 10)
        line = substr(line, 1, RSTART - 1)
    }
    n = split(line, w, " ")
    if (n >= 4 && w[1] == "table" && w[n] == "{") { nft_family = w[2]; nft_table = w[3]; nft_chain = ""; return }
    if (n == 3 && w[1] == "chain" && w[3] == "{") { nft_chain = w[2]; return }
    if (line == "}") { nft_chain = ""; return }
    if (nft_chain == "" || line ~ /^policy / || line == "") return
    if (n >= 4 && w[1] == "type") {
        # type filter hook prerouting priority filter + 10; policy drop;
        if (w[3] == "hook") add_native_chain(w[2], w[4], line)
        return
    }
    n = ++native_count
    native_family[n] = nft_family; native_table[n] = nft_table; native_chain[n] = nft_chain
    native_text[n] = line; native_handle[n] = handle
    in_native[nft_family, nft_table, nft_chain, ++native_size[nft_family, nft_table, nft_chain]] = n
}

# A base chain takes a number among the rules, so that it is looked at where it is.
function add_native_chain(type, hook, line,    n, w) {
    n = ++native_count
    native_family[n] = nft_family; native_table[n] = nft_table; native_chain[n] = nft_chain
    native_type[n] = type; native_hook[n] = hook; native_drops[n] = line ~ /policy drop;/
    sub(/.* priority /, "", line); sub(/;.*/, "", line)
    split(line, w, " ")
    native_priority[n] = priority(w[1]) + (w[2] == "-" ? -w[3] : w[3])
}

function priority(text) { # those of linux/netfilter_ipv4.h, by the names of nft(8)
    if (text ~ /^-?[0-9]+$/) return text + 0
    return text == "raw" ? -300 : text == "mangle" ? -150 : text == "dstnat" ? -100 : text == "security" ? 50 : 0
}

# iptables-save has listed these. (A table that it cannot read it leaves out, also with rules of ours.)
function is_of_iptables(n) {
    return (native_family[n], native_table[n]) in is_seen || native_chain[n] ~ /^TCPKNOCK-/
}

function native_has(n, phrase) { return index(" " native_text[n] " ", " " phrase " ") }

function native_concerns(n, port, to,    text, w, count, i, list, has) {
    text = native_text[n]
    gsub(/,/, " ", text)
    count = split(text, w, " ")
    for (i = 1; i <= count; i++) {
        if (w[i] != (to ? "dport" : "sport")) continue
        if (i == 1 || w[i - 1] !~ /^(tcp|th)$/) return 0
        list = list_after(w, count, i)
        has = list == "" ? -1 : list_has(list, port, "-")
        if (has == list_is_not) return 0
    }
    return native_is_for_tcp(n, w, count) && !native_has(n, "iif \"lo\"") && !native_has(n, "iifname \"lo\"") &&
        !native_has(n, "oif \"lo\"") && !native_has(n, "oifname \"lo\"")
}

# The values after a word, with commas between: one, or all in braces. Sets list_is_not.
function list_after(w, count, i,    list) {
    list_is_not = w[i + 1] == "!="
    if (list_is_not) i++
    if (w[i + 1] != "{") return i < count ? w[i + 1] : ""
    for (i += 2; i <= count && w[i] != "}"; i++) list = list "," w[i]
    return substr(list, 2)
}

function native_is_for_tcp(n, w, count,    i, list) {
    if (native_has(n, "icmp type") || native_has(n, "icmpv6 type") || native_has(n, "icmp code") ||
        native_has(n, "icmpv6 code")) return 0
    for (i = 1; i <= count - 2; i++) {
        if ((w[i] " " w[i + 1]) !~ /^(meta l4proto|ip protocol|ip6 nexthdr)$/) continue
        list = list_after(w, count, i + 1)
        # A named set can contain anything.
        if (list ~ /@/) continue
        if ((list ~ /(^|,)(tcp|6)(,|$)/) == list_is_not) return 0
    }
    return 1
}

# What a rule of nft does with our bit, as "SEVERITY WORDS". Sets native_sets if it may set it where nothing has been
# verified.
function native_use_of_mark(n,    found) {
    native_sets = 0
    found = native_assignment(n, "ct mark set ")
    return found == "" ? native_assignment(n, "meta mark set ") : found
}

function native_assignment(n, phrase,    place, w, count, i, is_some, of_connection, mark, is_harmless) {
    place = index(native_text[n], phrase)
    if (!place) return ""
    of_connection = phrase ~ /^ct/
    # Anything before it, except a counter, is a condition.
    count = split(substr(native_text[n], 1, place - 1), w, " ")
    for (i = 1; i <= count; i++) if (w[i] !~ /^([0-9]+|counter|packets|bytes)$/) is_some = 1
    count = split(substr(native_text[n], place + length(phrase)), w, " ")
    if (!count) return ""
    mark = number(w[1])
    if (mark >= 0) {
        native_sets = has_bit(mark)
        if (native_sets && of_connection) return (is_some ? "warning" : "error") " a rule marks connections as verified that are not"
        if (native_sets) return (is_some ? "warning" : "error") " a rule sets the bit that says 'verified' on packets"
        if (!of_connection) return "note a rule overwrites the whole mark of packets, our bit with it"
        return (is_some ? "warning" : "error") " a rule takes our bit out of verified connections, which cuts them off"
    }
    # `ct mark set ct mark | 0x10` or `... & 0xff`. Without an operator, the whole of another mark is copied.
    is_harmless = count > 2 && index(phrase, w[1] " ") == 1
    for (i = 3; i < count; i++) {
        if ((mark = number(w[i + 1])) < 0) continue
        if (w[i] ~ /^(&|and)$/ && !has_bit(mark)) is_harmless = 0
        if (w[i] ~ /^(\||or|\^|xor)$/ && has_bit(mark)) { is_harmless = 0; native_sets = 1 }
    }
    if (is_harmless) return ""
    return (!of_connection ? "note" : is_some ? "warning" : "error") " a rule may overwrite our bit in the mark of " \
        (of_connection ? "connections" : "packets")
}

function look_at_native(n,    p, found, port) {
    if (native_hook[n] != "") return
    for (p = port_count; p > 0; p--) {
        if (native_concerns(n, port_list[p], 1)) port = port_list[p]
        if (native_concerns(n, port_list[p], 0)) { if (port == "" || port < 0) port = -port_list[p] }
    }
    if (native_queues_to_ours(n)) say_native(n, "queue", "error", "a rule of another program uses the daemon's queue")
    if (port == "") return
    if (role == "server" && (found = native_use_of_mark(n)) != "")
        say_native(n, "mark", n in is_bypass ? "error" : substr(found, 1, index(found, " ") - 1),
            substr(found, index(found, " ") + 1))
    if (role == "server" && native_has(n, "notrack"))
        say_native(n, "tracking", "error", "port " (port < 0 ? -port : port) \
            " is excluded from connection tracking, so no connection can be verified")
    if (port < 0) return
    if (role == "server" && native_translates(n, "dnat"))
        say_native(n, "translation", "warning", "port " port " is translated on this host, where the knock cannot follow")
    if (role == "client" && native_translates(n, "snat"))
        say_native(n, "translation", "note", "this host changes its source address behind the daemon, for which the code is")
}

# The same words can occur in matches: `ct status dnat accept`, as firewalld has it, changes nothing.
function native_translates(n, how) {
    if (native_has(n, how " to") || native_has(n, how " ip to") || native_has(n, how " ip6 to") ||
        native_has(n, how " ip addr") || native_has(n, how " ip6 addr")) return 1
    if (how == "snat") return native_has(n, "masquerade")
    return native_has(n, "tproxy") || native_has(n, "redirect") && !native_has(n, "type redirect")
}

# queue num 100-103 bypass, queue flags bypass,fanout to 100-103
function native_queues_to_ours(n,    w, count, i) {
    count = split(native_text[n], w, " ")
    for (i = 1; i <= count && w[i] != "queue"; i++) continue
    if (i > count) return 0
    for (i++; i < count; i++) if (w[i] == "num" || w[i] == "to") return is_our_queue(w[i + 1], "-")
    return is_our_queue(0, "-")
}

function look_at_native_chain(n,    p, end, place, where) {
    if (native_type[n] == "" || role != "server") return
    if (native_hook[n] == "prerouting") for (p = 1; p <= port_count; p++) {
        split("", native_walked)
        look_for_native_marks(n, native_chain[n], port_list[p])
    }
    if (gateway || native_type[n] != "filter" || native_hook[n] !~ /^(prerouting|input)$/ ||
        native_family[n] !~ /^(ip|ip6|inet)$/) return
    where = native_family[n] " " native_table[n] " " native_chain[n]
    for (p = 1; p <= port_count; p++) {
        end = native_walk(n, native_chain[n], port_list[p], 0)
        if (end == "on") { if (!native_drops[n]) continue; end = "its policy" }
        else if (end == "maybe") continue
        else end = native_text[end]
        # firewalld undoes changes that others make in its table.
        say("filter", "warning", "nft drops what is for port " port_list[p] ", with the knock too", "chain " where, end,
            native_table[n] == "firewalld" ? "firewall-cmd --add-port=" port_list[p] "/tcp, and again with --permanent" \
            : "nft insert rule " where " tcp dport " port_list[p] " accept")
    }
}

# Rules in chains between our hook in the raw table, which clears our bit, and those in the mangle table, which believe
# it. The mark of a connection is there only behind connection tracking.
function look_for_native_marks(base, chain, port,    i, n, key, verdict) {
    if (native_priority[base] < -300 || native_priority[base] > -150 || chain in native_walked) return
    native_walked[chain] = 1
    key = native_family[base] SUBSEP native_table[base] SUBSEP chain
    for (i = 1; i <= native_size[key]; i++) {
        n = in_native[key, i]
        if (!native_concerns(n, port, 1)) continue
        native_use_of_mark(n)
        if (native_sets && (native_text[n] !~ /ct mark set/ || native_priority[base] > -200)) {
            is_bypass[n] = 1
            say("bypass", "error", "a rule of another program leads past the knock", native_place(n), native_text[n],
                native_undo(n), port, "rule")
        }
        native_verdict(n)
        if (native_name ~ /^(jump|goto)$/) look_for_native_marks(base, native_target, port)
    }
}

# Where the first packet of a connection to a port ends in a chain of nft: at the rule with this number, which drops it,
# `on`, at the chain's end, or `maybe`, where a rule may let it through. So a drop that is said is certain.
function native_walk(base, chain, port, depth,    i, n, key, name, is_some, some_returned, end) {
    # The kernel allows no more jumps (NFT_JUMP_STACK_SIZE).
    if (depth >= 16) return "maybe"
    key = native_family[base] SUBSEP native_table[base] SUBSEP chain
    for (i = 1; i <= native_size[key]; i++) {
        n = in_native[key, i]
        if (!native_concerns(n, port, 1) || !native_concerns_new(n)) continue
        is_some = native_is_conditional(n)
        native_verdict(n)
        name = native_name
        if (name == "") continue
        if (name ~ /^(accept|queue|vmap)$/) return "maybe"
        end = "on"
        if (name ~ /^(drop|reject)$/) end = n
        else if (name != "return") end = native_walk(base, native_target, port, depth + 1)
        if (end == "maybe") return end
        # If some packets returned to the calling chain, that decides about them, even if the rest is dropped here.
        if (end != "on") { if (!is_some) return some_returned ? "on" : end; continue }
        # A goto does not return to this chain.
        if (name == "jump") continue
        if (!is_some) return "on"
        some_returned = 1
    }
    return "on"
}

# The words of a rule, without quoted text such as a comment or the prefix of a log line.
function native_words(n, w,    text) {
    text = native_text[n]
    gsub(/"[^"]*"/, " \"\" ", text)
    return split(text, w, " ")
}

# Sets native_name and native_target to the verdict and the chain that it leads to; nothing if packets go on.
function native_verdict(n,    w, count, i) {
    native_name = native_target = ""
    count = native_words(n, w)
    for (i = 1; i <= count; i++) {
        # `tcp dport vmap { 22 : accept }`: each element has a verdict of its own.
        if (w[i] == "vmap") { native_name = "vmap"; native_target = ""; return }
        if (w[i] !~ /^(accept|drop|reject|return|jump|goto|queue)$/) continue
        native_name = w[i]; native_target = i < count ? w[i + 1] : ""
    }
}

# Whether a rule can match the first packet of a connection that is not translated.
function native_concerns_new(n,    text, w, count, i, is_not, has, some) {
    if (native_has(n, "ct status dnat") || native_has(n, "ct status snat")) return 0
    text = native_text[n]
    # ct state vmap { invalid : drop, established : accept, related : accept }
    gsub(/[,{}:]/, " ", text)
    count = split(text, w, " ")
    for (i = 1; i <= count - 2; i++) if (w[i] == "ct" && w[i + 1] == "state") break
    if (i > count - 2) return 1
    i += 2
    if (w[i] == "vmap") {
        for (; i <= count; i++) if (w[i] == "new" || w[i] ~ /^@/) return 1
        return 0
    }
    if ((is_not = w[i] == "!=")) i++
    for (; i <= count && w[i] ~ /^(new|established|related|invalid|untracked)$/; i++) { some = 1; if (w[i] == "new") has = 1 }
    return !some || has != is_not
}

# Whether a rule tests more than the protocol, the port, and that the connection is new.
function native_is_conditional(n,    w, count, i, text, field) {
    text = native_text[n]
    gsub(/"[^"]*"/, " \"\" ", text); gsub(/,/, " ", text)
    count = split(text, w, " ")
    for (i = 1; i <= count; i++) {
        if (w[i] ~ /^(drop|reject|jump|goto|accept|return)$/) return 0
        if (w[i] == "counter") {
            if (w[i + 1] == "packets") i += 4
        } else if (w[i] == "log") {
            while (w[i + 1] ~ /^(prefix|level|flags|group)$/) i += 2
        } else if (w[i] ~ /^(tcp|th|meta|ct)$/) {
            field = w[i + 1]
            if (field != (w[i] == "meta" ? "l4proto" : w[i] == "ct" ? "state" : "dport")) return 1
            i++
            if (w[i + 1] == "!=") i++
            if (w[i + 1] == "{") { while (i < count && w[i] != "}") i++ }
            else if (field == "state") { while (w[i + 1] ~ /^(new|established|related|invalid|untracked)$/) i++ }
            else i++
        } else return 1
    }
    return 0
}

# --- saying what was found ---------------------------------------------------------------------------------------

function say_rule(id, n, removed, effect, severity, what) {
    say(effect, severity, what, program_of[id] " -t " name_of[id], text[n], undo(id, removed))
}

function say_bypass(id, n, port, mended_by) {
    say("bypass", "error", "a rule of another program leads past the knock", program_of[id] " -t " name_of[id], text[n],
        undo(id, n), port, mended_by)
}

function native_place(n) { return "nft table " native_family[n] " " native_table[n] ", chain " native_chain[n] }

function say_native(n, effect, severity, what) {
    say(effect, severity, what, native_place(n), native_text[n], native_undo(n))
}

# A command line that deletes a rule.
function undo(id, n,    line, count, i, w) {
    line = shell_word(program_of[id]) " -t " shell_word(name_of[id]) " -D"
    count = words(text[n], w)
    for (i = 2; i <= count; i++) line = line " " shell_word(w[i])
    return line
}

function native_undo(n,    place) {
    place = shell_word(native_family[n]) " " shell_word(native_table[n]) " " shell_word(native_chain[n])
    return native_handle[n] == "" ? "nft -a list chain " place : "nft delete rule " place " handle " native_handle[n]
}

function shell_word(text) {
    if (text ~ /^[A-Za-z0-9\/._:,@+=%-]+$/) return text
    gsub(/'/, "'\\''", text)
    return "'" text "'"
}

function say(effect, severity, what, place, detail, removal, port, mended_by,    rule) {
    if (only != "" && effect != only) return
    rule = place == "" ? detail : place ": " detail
    if (form == "text") {
        if (severity == "note" || (what, rule) in said) return
        said[what, rule] = 1
        gsub(/[^ -~]/, "?", rule)
        print what (rule == "" ? "" : ": " rule)
        return
    }
    print "{" member("effect", effect) ", " member("severity", severity) ", " member("what", what) ", " \
        member("rule", rule) ", " member("undo", removal) \
        (port ? ", \"port\": " port ", " member("mended_by", mended_by) : "") "}"
}

function member(name, detail) { return "\"" name "\": " json(detail) }

function json(detail) {
    gsub(/[\001-\037\177]/, "?", detail)
    gsub(/[\\"]/, "\\\\&", detail)
    return "\"" detail "\""
}
