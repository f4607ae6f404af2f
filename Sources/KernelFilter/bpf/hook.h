/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs at hooks of netfilter share (BPF netfilter links, Linux 6.4 and later).
 *
 * A rule asks for ports and flags before it asks a program. Here that is up to the program, which sees every packet.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/netfilter.h>

#include <bpf/bpf_helpers.h>

#include "syn_code_maps.h"

/* Of the kernel's structures, only what is read; libbpf finds where in them it is. */
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

/* A packet; at the hooks of netfilter its bytes begin with its IP header. */
struct source {
    struct bpf_dynptr bytes;
    __u32 length;
};

#include "packet.h"

static __always_inline __u32 length_of(struct source *packet) { return packet->length; }

static __always_inline long read_bytes(struct source *packet, __u32 offset, void *to, __u32 size) {
    const void *bytes = bpf_dynptr_slice(&packet->bytes, offset, to, size);
    if (!bytes) return -1;
    /* Copied even where they have been copied already. Without the alignment they would be, byte by byte. */
    __builtin_memcpy(to, __builtin_assume_aligned(bytes, 4), size);
    return 0;
}

/* The number of the interface that a packet came in by; 0 where there is none: that is no packet, but a trial. */
static __always_inline int interface_of(const struct bpf_nf_ctx *context) { return context->state->in->ifindex; }

/* Of a segment, what decides whether it is the business of these programs. */
struct subject {
    struct syn_code_address source, destination;
    /* As `syn_code_place` has it. */
    __u64 interface[2];
    __u32 family;
    /* Of the host's own byte order. */
    __u16 port;
    /* Whether it goes to this host itself. */
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

/* Keeps of 8 letters those before the first that is 0, without a branch. */
static __always_inline __u64 before_zero(__u64 letters) {
    const __u64 zeros = (letters - 0x0101010101010101) & ~letters & 0x8080808080808080;
    return letters & ((zeros & -zeros) - 1);
}

/* Notes the name of the interface that a packet came in by. In the kernel's, what is behind the end may be anything. The
 * verifier has no variable for an index there, and would try all ways that lead through comparisons of each letter. */
static __always_inline void note_interface(struct subject *subject, const struct bpf_nf_ctx *context) {
    const struct net_device *interface = context->state->in;
#define LETTER(index) ((__u64)(__u8)interface->name[index] << 8 * (index & 7))
#define LETTERS(first)                                                                                       \
    (LETTER(first) | LETTER(first + 1) | LETTER(first + 2) | LETTER(first + 3) | LETTER(first + 4) |          \
     LETTER(first + 5) | LETTER(first + 6) | LETTER(first + 7))
    const __u64 letters = LETTERS(0);
    subject->interface[0] = before_zero(letters);
    subject->interface[1] = subject->interface[0] == letters ? before_zero(LETTERS(8)) : 0;
    /* Ends just there. */
    if (!(letters >> 56)) subject->interface[1] = 0;
#undef LETTERS
#undef LETTER
}

/* Whether a port is protected on any host. */
static __always_inline int is_protected_port(const struct syn_code_scope *scope, __u16 port) {
    __u32 word = port >> 6;
    /* The verifier of Linux 6.12 does not see that the mask changes nothing; the compiler must not see it. */
    asm volatile("" : "+r"(word));
    return scope->ports[word & 1023] >> (port & 63) & 1;
}

/* A look for a subject in a list of places. */
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

/* Whether a segment to a protected port is the business of these programs: it goes to who is protected, and does not
 * come from who is exempt. Who comes in by loopback is asked for before. A loop of C would be walked through by the
 * verifier in all ways that there are, which are too many. */
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
