/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check at a hook of netfilter, without a rule (BPF netfilter links, Linux 6.4 and later): a flood of wrong codes
 * ends before connection tracking, the putting together of fragments, and any table.
 *
 * A rule asks for ports and flags before it asks a program. Here that is up to the program, which sees every packet.
 */
#include <linux/bpf.h>
#include <linux/netfilter.h>

#include <bpf/bpf_helpers.h>

/* Of the kernel's structures, only what is read; libbpf finds where in them it is. */
#define OF_THE_KERNEL __attribute__((preserve_access_index))
struct net_device {
    int ifindex;
} OF_THE_KERNEL;
struct nf_hook_state {
    struct net_device *in;
} OF_THE_KERNEL;
struct sk_buff {
    unsigned int len;
} OF_THE_KERNEL;
struct bpf_nf_ctx {
    const struct nf_hook_state *state;
    struct sk_buff *skb;
} OF_THE_KERNEL;

extern int bpf_dynptr_from_skb(struct sk_buff *skb, __u64 flags, struct bpf_dynptr *bytes) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *bytes, __u32 offset, void *buffer, __u32 size) __ksym;

struct source {
    struct bpf_dynptr bytes;
    __u32 length;
};

#include "syn_code.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct syn_code_ports);
} ports SEC(".maps");

/* The time of this tick, for each CPU: only to ask what tick it is costs nothing. */
struct clock {
    __u64 tick, time;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct clock);
} clocks SEC(".maps");

/* At the hooks of netfilter the bytes of a packet begin with its IP header. */
static __always_inline __u32 length_of(struct source *packet) { return packet->length; }

static __always_inline long read_bytes(struct source *packet, __u32 offset, void *to, __u32 size) {
    const void *bytes = bpf_dynptr_slice(&packet->bytes, offset, to, size);
    if (!bytes) return -1;
    /* Copied even where they have been copied already. Without the alignment they would be, byte by byte. */
    __builtin_memcpy(to, __builtin_assume_aligned(bytes, 4), size);
    return 0;
}

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

static __always_inline int is_protected(__u16 port) {
    __u32 index = 0;
    const struct syn_code_ports *set = bpf_map_lookup_elem(&ports, &index);
    return set && set->words[port >> 6] >> (port & 63) & 1;
}

SEC("netfilter")
int syn_code_hook(struct bpf_nf_ctx *context) {
    struct source packet = {.length = context->skb->len};
    struct syn syn;
    /* 0 where there is no interface: that is no packet, but a trial. */
    const int interface = context->state->in->ifindex;
    if (interface == LOOPBACK || bpf_dynptr_from_skb(context->skb, 0, &packet.bytes)) return NF_ACCEPT;
    if (!read_syn(&packet, &syn)) return NF_ACCEPT;
    if (interface && !is_protected(syn.port)) return NF_ACCEPT;
    return judge(&syn) == WRONG ? NF_DROP : NF_ACCEPT;
}
