/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check as the match of a firewall rule, for every kernel that has the match:
 *
 *   iptables -t raw -A PREROUTING -p tcp --dport 22 --syn -m bpf --object-pinned PATH -j DROP
 *
 * A match cannot be inverted, so the program answers 1 for a wrong code. What the host sends to itself needs no code:
 * the program looks at the interface, which costs less than a match of the rule that compares its name.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct source {
    struct __sk_buff *buffer;
};

#include "syn_code.h"

/* At the hooks of netfilter the bytes of a packet begin with its IP header. */
static __always_inline __u32 length_of(struct source *packet) { return packet->buffer->len; }

static __always_inline long read_bytes(struct source *packet, __u32 offset, void *to, __u32 size) {
    return bpf_skb_load_bytes(packet->buffer, offset, to, size);
}

/* 30 ns cheaper than to ask the hardware. */
static __always_inline __u64 monotonic_time(void) { return bpf_ktime_get_coarse_ns(); }

/* What is no SYN, or not to be read here; at the hook that is nearly everything, and nobody counts it. */
static __always_inline enum answer not_read(void) {
    __u32 index = 0;
    struct syn_code_counters *count = bpf_map_lookup_elem(&counters, &index);
    if (count) count->unparsed++;
    return MAY_BE_RIGHT;
}

SEC("socket")
int syn_code(struct __sk_buff *buffer) {
    struct source packet = {buffer};
    struct syn syn;
    if (buffer->ingress_ifindex == LOOPBACK || !read_syn(&packet, &syn)) return not_read();
    return judge(&syn);
}
