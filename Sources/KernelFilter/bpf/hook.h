/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Common parts of the programs at netfilter hooks (BPF netfilter links, Linux 6.4 and later).
 *
 * A rule checks ports and flags before it runs a program. Here the program sees every packet, and must do so itself.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/netfilter.h>

#include <bpf/bpf_helpers.h>

#include "syn_code_maps.h"

/* The fields of kernel structures that are read here; libbpf finds their offsets. */
#define OF_THE_KERNEL __attribute__((preserve_access_index))
struct net_device {
    int ifindex;
    char name[16];
} OF_THE_KERNEL;
struct nf_hook_state {
    __u8 hook;
    struct net_device *in;
} OF_THE_KERNEL;
struct sk_buff {
    unsigned int len;
    unsigned long _nfct;
} OF_THE_KERNEL;
struct bpf_nf_ctx {
    const struct nf_hook_state *state;
    struct sk_buff *skb;
} OF_THE_KERNEL;

extern int bpf_dynptr_from_skb(struct sk_buff *skb, __u64 flags, struct bpf_dynptr *bytes) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *bytes, __u32 offset, void *buffer, __u32 size) __ksym;

/* A packet; at netfilter hooks, its bytes start with the IP header. */
struct source {
    struct bpf_dynptr bytes;
    __u32 length;
};

#include "packet.h"

static __always_inline __u32 length_of(struct source *packet) { return packet->length; }

static __always_inline long read_bytes(struct source *packet, __u32 offset, void *to, __u32 size) {
    const void *bytes = bpf_dynptr_slice(&packet->bytes, offset, to, size);
    if (!bytes) return -1;
    /* Copies even if the bytes are in `to` already. Without the alignment, the copy would be byte by byte. */
    __builtin_memcpy(to, __builtin_assume_aligned(bytes, 4), size);
    return 0;
}

/* Returns the index of the interface that a packet arrived on; 0 if there is none, in a test run. */
static __always_inline int interface_of(const struct bpf_nf_ctx *context) { return context->state->in->ifindex; }

/* The properties of a segment that decide whether these programs apply to it. */
struct subject {
    struct syn_code_address source, destination;
    /* In the format of `syn_code_place`. */
    __u64 interface[2];
    __u32 family;
    /* In host byte order. */
    __u16 port;
    /* Whether the destination is this host. */
    __u8 is_own;
};

static __always_inline int is_in(const struct syn_code_place *place, const struct syn_code_address *address) {
    return !(((address->words[0] ^ place->address.words[0]) & place->mask.words[0]) |
             ((address->words[1] ^ place->address.words[1]) & place->mask.words[1]));
}

static __always_inline int is_at(const struct syn_code_place *place, const struct subject *subject,
                                 const struct syn_code_address *address) {
    if (place->is_own) return subject->is_own;
    if (place->family && place->family != subject->family) return 0;
    if (place->interface[0] &&
        (place->interface[0] != subject->interface[0] || place->interface[1] != subject->interface[1]))
        return 0;
    return is_in(place, address);
}

/* Keeps the letters before the first zero byte of 8 letters, without a branch. */
static __always_inline __u64 before_zero(__u64 letters) {
    const __u64 zeros = (letters - 0x0101010101010101) & ~letters & 0x8080808080808080;
    return letters & ((zeros & -zeros) - 1);
}

/*
 * Stores the name of the interface that a packet arrived on. In the kernel's copy, the bytes after the end are
 * undefined. The verifier does not allow a variable index there, and would follow every path through comparisons of
 * single letters.
 */
static __always_inline void note_interface(struct subject *subject, const struct bpf_nf_ctx *context) {
    const struct net_device *interface = context->state->in;
#define LETTER(index) ((__u64)(__u8)interface->name[index] << 8 * (index & 7))
#define LETTERS(first)                                                                                       \
    (LETTER(first) | LETTER(first + 1) | LETTER(first + 2) | LETTER(first + 3) | LETTER(first + 4) |          \
     LETTER(first + 5) | LETTER(first + 6) | LETTER(first + 7))
    const __u64 letters = LETTERS(0);
    subject->interface[0] = before_zero(letters);
    subject->interface[1] = subject->interface[0] == letters ? before_zero(LETTERS(8)) : 0;
    /* The name ends exactly there. */
    if (!(letters >> 56)) subject->interface[1] = 0;
#undef LETTERS
#undef LETTER
}

/* Returns whether a port is protected on any host. */
static __always_inline int is_protected_port(const struct syn_code_scope *scope, __u16 port) {
    __u32 word = port >> 6;
    /* The verifier of Linux 6.12 needs the mask, which changes nothing; this keeps the compiler from removing it. */
    asm volatile("" : "+r"(word));
    return scope->ports[word & 1023] >> (port & 63) & 1;
}

/* A search for a subject in a list of places. */
struct look {
    const struct syn_code_place *places;
    __u32 count;
    __u32 is_found;
    const struct subject *subject;
    const struct syn_code_address *address;
};

static long look_at(__u32 index, struct look *look) {
    /* As in `is_protected_port`. */
    asm volatile("" : "+r"(index));
    if (index >= look->count || index >= SYN_CODE_MAXIMUM_PLACES) return 1;
    look->is_found = is_at(&look->places[index], look->subject, look->address) & 1;
    return look->is_found & 1;
}

/*
 * Returns whether a segment to a protected port goes to a protected place and does not come from an exempt one. The
 * loopback interface is checked before. The verifier would follow every path through a C loop, which are too many;
 * hence bpf_loop.
 */
static __always_inline int is_concerned(const struct syn_code_scope *scope, struct subject *subject,
                                        const struct bpf_nf_ctx *context) {
    struct look exempt = {scope->exempt_places, scope->exempt_count, 0, subject, &subject->source};
    struct look protected = {scope->protected_places, scope->protected_count, 0, subject, &subject->destination};
    note_interface(subject, context);
    if (exempt.count) bpf_loop(SYN_CODE_MAXIMUM_PLACES, look_at, &exempt, 0);
    if (exempt.is_found) return 0;
    bpf_loop(SYN_CODE_MAXIMUM_PLACES, look_at, &protected, 0);
    return protected.is_found;
}
