/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check as a match of a firewall rule, for any kernel that has this match:
 *
 *   iptables -t raw -A PREROUTING -p tcp --dport 22 --syn -m bpf --object-pinned PATH -j DROP
 *
 * A match cannot be inverted, so the program returns 1 for a wrong code. Packets that the host sends to itself need no
 * code; the program checks the interface index, which is cheaper than a rule that compares its name.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct source {
    struct __sk_buff *buffer;
};

#include "syn_code.h"

/* At netfilter hooks, the bytes of a packet start with the IP header. */
static __always_inline __u32 length_of(struct source *packet) { return packet->buffer->len; }

static __always_inline long read_bytes(struct source *packet, __u32 offset, void *to, __u32 size) {
    return bpf_skb_load_bytes(packet->buffer, offset, to, size);
}

/* 30 ns cheaper than reading the hardware clock. */
static __always_inline __u64 monotonic_time(void) { return bpf_ktime_get_coarse_ns(); }

/* Counts a packet that is not a SYN or cannot be parsed. (At the hook, nearly all packets are, and none is counted.) */
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
