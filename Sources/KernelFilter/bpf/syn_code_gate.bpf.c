/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate: runs after all tables, on packets to the protected ports of this host (LOCAL_IN) or of hosts behind it
 * (FORWARD). While the rules are in place it has nothing to do, because they let nothing pass that it would drop. It is
 * for the case that another program has flushed all tables: a right code alone must not be enough. Then
 * - segments of connections that were never verified are dropped;
 * - once the last rule that needs connection tracking is gone, tracking stops, so packets have no connection, and all
 *   are dropped but RSTs, which nobody answers. Verified connections stall until the rules are back.
 *
 * A connection passes if its mark in connection tracking has the bit that the rules set.
 */
#include "control.h"
#include "hook.h"

struct nf_conn {
    unsigned long status;
    __u32 mark;
} OF_THE_KERNEL;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct syn_code_gate);
} gate SEC(".maps");

/* The low bits of sk_buff._nfct are the relation of the packet to its connection: NFCT_INFOMASK in the kernel. */
static const unsigned long connection_address = ~7ul;

/*
 * In nf_conn.status: the destination was translated, IPS_DST_NAT in linux/netfilter/nf_conntrack_common.h.
 */
static const unsigned long is_translated = 1 << 5;

enum shape {
    /* Not TCP, or a segment that nobody would accept. */
    OTHER,
    SEGMENT,
    /* A segment to a port that is incomplete, or that Sources/Wire would not parse. */
    UNREADABLE_SEGMENT,
    /* Possibly a segment to any port: too many extension headers (twice the usual limit), or cut off within them. */
    UNREADABLE,
};

struct found {
    struct subject subject;
    struct tcp_header tcp;
    /* The length of the segment's data in bytes. */
    __u32 data;
};

/* A fragment of TCP: only the first has the ports, and without the first the others are useless. */
static __always_inline enum shape read_fragment(struct source *packet, __u32 offset, int is_first, struct found *found) {
    if (!is_first) return OTHER;
    return read_bytes(packet, offset, &found->tcp, 4) ? UNREADABLE : UNREADABLE_SEGMENT;
}

static __always_inline enum shape read_segment(struct source *packet, __u32 offset, __u32 end, struct found *found) {
    __u32 header;
    if (read_bytes(packet, offset, &found->tcp, sizeof found->tcp)) return OTHER;
    header = offset + (found->tcp.data_offset >> 4) * 4;
    if (end > length_of(packet)) end = length_of(packet);
    found->data = end > header ? end - header : 0;
    return SEGMENT;
}

static __always_inline enum shape read_ipv6(struct source *packet, const struct ipv6_header *ip, struct found *found) {
    const __u32 end = IPV6_LENGTH + bpf_ntohs(ip->payload_length);
    __u32 offset = IPV6_LENGTH;
    __u8 next_header = ip->next_header;
    int is_fragment = 0, is_odd = 0;

    for (int seen = 0; seen <= 2 * MAXIMUM_EXTENSION_HEADERS; seen++) {
        struct {
            __u8 next_header, length, fragment_high, fragment_low;
        } header;
        switch (next_header) {
        case TCP: {
            enum shape shape;
            if (is_fragment) return read_fragment(packet, offset, 1, found);
            shape = read_segment(packet, offset, end, found);
            is_odd |= seen > MAXIMUM_EXTENSION_HEADERS;
            return shape == SEGMENT && is_odd ? UNREADABLE_SEGMENT : shape;
        }
        case ROUTING:
        case HOP_BY_HOP:
        case DESTINATION_OPTIONS:
        case MOBILITY:
        case HOST_IDENTITY:
        case SHIM6:
        case AUTHENTICATION:
        case FRAGMENT:
            break;
        default:
            return OTHER;
        }
        if (read_bytes(packet, offset, &header, sizeof header)) return UNREADABLE;
        if (next_header == FRAGMENT) {
            const __u32 field = (__u32)header.fragment_high << 8 | header.fragment_low;
            if (field & 0xfff8) return OTHER;
            is_fragment |= field & 1;
            offset += 8;
        } else {
            /* Segments left. */
            if (next_header == ROUTING && header.fragment_low) is_odd = 1;
            offset += 8 + header.length * (next_header == AUTHENTICATION ? 4 : 8);
        }
        next_header = header.next_header;
    }
    return UNREADABLE;
}

static __always_inline enum shape read_packet(struct source *packet, struct found *found) {
    struct ipv6_header v6;
    struct ipv4_header v4;

    /* The shorter of both headers; anything shorter is not a packet. */
    if (read_bytes(packet, 0, &v4, sizeof v4)) return OTHER;
    if (v4.version_and_length >> 4 == 4) {
        const __u32 offset = (v4.version_and_length & 15) * 4;
        found->subject.family = 4;
        found->subject.source = ipv4_address(v4.source);
        found->subject.destination = ipv4_address(v4.destination);
        if (v4.protocol != TCP || offset < IPV4_LENGTH) return OTHER;
        if (v4.fragment & bpf_htons(0x3fff))
            return read_fragment(packet, offset, !(v4.fragment & bpf_htons(0x1fff)), found);
        return read_segment(packet, offset, bpf_ntohs(v4.total_length), found);
    }
    if (read_bytes(packet, 0, &v6, sizeof v6)) return OTHER;
    found->subject.family = 6;
    found->subject.source = ipv6_address(v6.source);
    found->subject.destination = ipv6_address(v6.destination);
    return read_ipv6(packet, &v6, found);
}

/*
 * Returns whether a SYN may pass: if connection tracking has seen it, as it has if the rules have; and if it has no
 * data, unless the daemon accepts data.
 */
static __always_inline int may_begin(const struct found *found, unsigned long connection) {
    __u32 index = 0;
    const struct syn_code_control *current = bpf_map_lookup_elem(&control, &index);
    return connection && (!found->data || (current && !current->refuses_data));
}

static __always_inline int has_another_destination(unsigned long connection) {
    unsigned long status;
    return connection && !bpf_probe_read_kernel(&status, sizeof status, &((struct nf_conn *)connection)->status) &&
           status & is_translated;
}

SEC("netfilter")
int syn_code_gate(struct bpf_nf_ctx *context) {
    const unsigned long connection = context->skb->_nfct & connection_address;
    struct source packet = {.length = context->skb->len};
    struct found found = {};
    struct subject *subject = &found.subject;
    const struct syn_code_gate *closed;
    enum shape shape;
    __u32 index = 0, mark = 0;

    closed = bpf_map_lookup_elem(&gate, &index);
    if (!closed) return NF_DROP;
    if (connection && !bpf_probe_read_kernel(&mark, sizeof mark, &((struct nf_conn *)connection)->mark) &&
        mark & closed->mark)
        return NF_ACCEPT;
    if (interface_of(context) == LOOPBACK) return NF_ACCEPT;
    if (bpf_dynptr_from_skb(context->skb, 0, &packet.bytes)) return NF_DROP;
    shape = read_packet(&packet, &found);
    if (shape == OTHER) return NF_ACCEPT;
    subject->port = bpf_ntohs(found.tcp.destination_port);
    subject->is_own = context->state->hook != NF_INET_FORWARD;
    if (shape != UNREADABLE && !is_protected_port(&closed->scope, subject->port)) return NF_ACCEPT;
    if (!is_concerned(&closed->scope, subject, context) || has_another_destination(connection)) return NF_ACCEPT;
    if (shape != SEGMENT) return NF_DROP;
    if (found.tcp.flags & RST) return NF_ACCEPT;
    if ((found.tcp.flags & (FIN | SYN | ACK)) == SYN) return may_begin(&found, connection) ? NF_ACCEPT : NF_DROP;
    return NF_DROP;
}

char LICENSE[] SEC("license") = "GPL";
