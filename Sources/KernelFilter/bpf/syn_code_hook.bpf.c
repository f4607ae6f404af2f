/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check at a netfilter hook, without a rule: a flood of wrong codes is dropped before connection tracking and all
 * tables.
 */
#include "hook.h"
#include "syn_code.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct syn_code_scope);
} scope SEC(".maps");

/* The addresses of this host; this hook runs before routing decides whether a packet is local. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, SYN_CODE_MAXIMUM_OWN);
    __type(key, struct syn_code_address);
    __type(value, __u8);
} own SEC(".maps");

/* The time of the current tick, per CPU: reading the tick alone costs nothing. */
struct clock {
    __u64 tick, time;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct clock);
} clocks SEC(".maps");

static __always_inline __u64 monotonic_time(void) {
    __u32 index = 0;
    struct clock *clock = bpf_map_lookup_elem(&clocks, &index);
    const __u64 tick = bpf_jiffies64();
    if (!clock) return bpf_ktime_get_ns();
    if (clock->tick != tick) {
        clock->time = bpf_ktime_get_ns();
        clock->tick = tick;
    }
    return clock->time;
}

static __always_inline int is_to_be_judged(const struct syn *syn, const struct bpf_nf_ctx *context) {
    __u32 index = 0;
    const struct syn_code_scope *current = bpf_map_lookup_elem(&scope, &index);
    struct subject subject = {
        .source = syn->address, .destination = syn->destination, .family = syn->family, .port = syn->port};
    if (!current || !is_protected_port(current, subject.port)) return 0;
    subject.is_own = bpf_map_lookup_elem(&own, &subject.destination) != 0;
    return is_concerned(current, &subject, context);
}

SEC("netfilter")
int syn_code_hook(struct bpf_nf_ctx *context) {
    struct source packet = {.length = context->skb->len};
    struct syn syn;
    const int interface = interface_of(context);
    if (interface == LOOPBACK || bpf_dynptr_from_skb(context->skb, 0, &packet.bytes)) return NF_ACCEPT;
    if (!read_syn(&packet, &syn)) return NF_ACCEPT;
    if (interface && !is_to_be_judged(&syn, context)) return NF_ACCEPT;
    return judge(&syn) == WRONG ? NF_DROP : NF_ACCEPT;
}
