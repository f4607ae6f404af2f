/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first check of docs/PROTOCOL.md §4, in the kernel: common parts of both programs.
 *
 * WRONG means that the code of a SYN cannot be right. MAY_BE_RIGHT means that it may be, or that the program cannot
 * tell; the daemon then decides, and does everything else in the protocol anyway. Exactly those packets are parsed that
 * Sources/Wire parses, and a test compares the two.
 *
 * The time slot is computed here, not by the daemon, so a busy, stopped or dead daemon does not make right codes wrong.
 *
 * A program defines `struct source` before it includes this, and its access to packet and time afterwards.
 */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "control.h"
#include "packet.h"
#include "syn_code_maps.h"

/* Returns CLOCK_MONOTONIC in nanoseconds, at most one tick late, which the neighbouring slots make up for. */
static __always_inline __u64 monotonic_time(void);

enum answer { MAY_BE_RIGHT = 0, WRONG = 1 };

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct syn_code_keys);
} keys SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct syn_code_counters);
} counters SEC(".maps");

/* --- the packet ---------------------------------------------------------------------------------------------- */

/* A | C in the words that SipHash reads, and the code; in the byte order of docs/PROTOCOL.md. */
struct syn {
    struct syn_code_address address;
    __u32 isn;
    __u32 code;
    /* In host byte order. */
    __u16 port;
    /* The family and the destination: not hashed, but needed to decide whether the SYN is to be judged. */
    __u8 family;
    struct syn_code_address destination;
};

/* Returns the offset of the TCP header after the extension headers; 0 if there is none, or if it must not be read. */
static __always_inline __u32 skip_extension_headers(struct source *packet, __u8 next_header) {
    __u32 offset = IPV6_LENGTH;
    for (int seen = 0; seen <= MAXIMUM_EXTENSION_HEADERS; seen++) {
        struct {
            __u8 next_header, length, fragment_high, fragment_low;
        } header;
        if (next_header == TCP) return offset;
        if (seen == MAXIMUM_EXTENSION_HEADERS) return 0;
        /* Each of these is at least 8 bytes long. */
        if (offset + 8 > length_of(packet) || read_bytes(packet, offset, &header, sizeof header)) return 0;
        switch (next_header) {
        case ROUTING:
            /* Segments left: the checksum covers another destination. */
            if (header.fragment_low) return 0;
            /* fall through */
        case HOP_BY_HOP:
        case DESTINATION_OPTIONS:
        case MOBILITY:
        case HOST_IDENTITY:
        case SHIM6:
            offset += 8 + header.length * 8;
            break;
        case AUTHENTICATION:
            offset += 8 + header.length * 4;
            break;
        case FRAGMENT:
            /* A fragment header is only accepted if the packet is not fragmented. */
            if (header.fragment_high || header.fragment_low & 0xf9) return 0;
            offset += 8;
            break;
        default:
            return 0;
        }
        next_header = header.next_header;
    }
    return 0;
}

/* Returns whether an IPv6 address is IPv4-mapped; such an address must not occur in an IPv6 header. */
static __always_inline int is_mapped(const __be64 *address) {
    return !address[0] && (__u32)read64(address[1]) == 0xffff0000;
}

/* Parses a SYN; returns false if the packet is not a SYN or must not be parsed here. */
static __always_inline int read_syn(struct source *packet, struct syn *syn) {
    union beginning first;
    struct tcp_header tcp;
    __u32 offset, end;

    /* No SYN is shorter than this. */
    if (read_bytes(packet, 0, &first, sizeof first)) return 0;

    if (first.v4.ip.version_and_length >> 4 == 4) {
        const struct ipv4_header *ip = &first.v4.ip;
        offset = (ip->version_and_length & 15) * 4;
        end = bpf_ntohs(ip->total_length);
        if (offset < IPV4_LENGTH || ip->fragment & bpf_htons(0x3fff) || ip->protocol != TCP) return 0;
        syn->family = 4;
        syn->address = ipv4_address(ip->source);
        syn->destination = ipv4_address(ip->destination);
    } else if (first.v4.ip.version_and_length >> 4 == 6) {
        const struct ipv6_header *ip = &first.v6;
        offset = skip_extension_headers(packet, ip->next_header);
        end = IPV6_LENGTH + bpf_ntohs(ip->payload_length);
        if (!offset) return 0;
        syn->family = 6;
        syn->address = ipv6_address(ip->source);
        syn->destination = ipv6_address(ip->destination);
        if (is_mapped(ip->source) || is_mapped(ip->destination)) return 0;
    } else {
        return 0;
    }

    if (offset == IPV4_LENGTH) {
        tcp = first.v4.tcp;
    } else if (read_bytes(packet, offset, &tcp, sizeof tcp)) {
        return 0;
    }
    if ((tcp.flags & (FIN | SYN | RST | ACK)) != SYN) return 0;
    if (end > length_of(packet)) end = length_of(packet);
    if (tcp.data_offset >> 4 < TCP_LENGTH / 4 || offset + (tcp.data_offset >> 4) * 4 > end) return 0;
    syn->isn = read32(tcp.sequence);
    syn->code = read32(tcp.acknowledgment);
    syn->port = bpf_ntohs(tcp.destination_port);
    return 1;
}

/* --- the code ------------------------------------------------------------------------------------------------ */

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */
struct siphash {
    __u64 v0, v1, v2, v3;
};

#define ROTATE(word, count) ((word) << (count) | (word) >> (64 - (count)))

static __always_inline void siphash_round(struct siphash *state) {
    state->v0 += state->v1;
    state->v2 += state->v3;
    state->v1 = ROTATE(state->v1, 13) ^ state->v0;
    state->v3 = ROTATE(state->v3, 16) ^ state->v2;
    state->v0 = ROTATE(state->v0, 32);
    state->v2 += state->v1;
    state->v0 += state->v3;
    state->v1 = ROTATE(state->v1, 17) ^ state->v2;
    state->v3 = ROTATE(state->v3, 21) ^ state->v0;
    state->v2 = ROTATE(state->v2, 32);
}

static __always_inline void siphash_word(struct siphash *state, __u64 word) {
    state->v3 ^= word;
    siphash_round(state);
    siphash_round(state);
    state->v0 ^= word;
}

/*
 * The message A | C | T has 28 bytes: three words, and a last one with the low half of T and the length. So all slots
 * share the state after the third word, if the high half of T is the same.
 */
static __always_inline struct siphash begin(const struct syn_code_key *key, const struct syn *syn, __u32 slot_high) {
    struct siphash state = {
        key->low ^ 0x736f6d6570736575, key->high ^ 0x646f72616e646f6d,
        key->low ^ 0x6c7967656e657261, key->high ^ 0x7465646279746573,
    };
    siphash_word(&state, syn->address.words[0]);
    siphash_word(&state, syn->address.words[1]);
    siphash_word(&state, (__u64)__builtin_bswap32(slot_high) << 32 | syn->isn);
    return state;
}

static __always_inline int is_right(struct siphash state, __u32 slot_low, __u32 code) {
    __u64 output;
    __u32 full, windowed;
    siphash_word(&state, (__u64)28 << 56 | __builtin_bswap32(slot_low));
    state.v2 ^= 0xff;
    siphash_round(&state);
    siphash_round(&state);
    siphash_round(&state);
    siphash_round(&state);
    output = state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
    full = output;
    windowed = output >> 32;
    if (full == code || windowed == code) return 1;
    /* A code of 0 is replaced by 1. */
    return code == read32(bpf_htonl(1)) && (full == 0 || windowed == 0);
}

/* Returns whether a code is right in any slot that is accepted now. */
static __always_inline int is_right_around(const struct syn_code_key *key, const struct syn *syn, __u64 slot,
                                           __u32 uses_time) {
    /* 64 bits of nanoseconds only reach the year 2262, so the high half of the slot is 0. */
    struct siphash state = begin(key, syn, 0);
    if (is_right(state, slot, syn->code)) return 1;
    if (!uses_time) return 0;
    if (is_right(state, slot + 1, syn->code)) return 1;
    return slot > 0 && is_right(state, slot - 1, syn->code);
}

/* --- the verdict ---------------------------------------------------------------------------------------------- */

/* Judges the code of a SYN, and counts the answer. */
static __always_inline enum answer judge(struct syn *syn) {
    const __u64 nanoseconds_per_slot = 60000000000;
    const struct syn_code_control *current;
    const struct syn_code_keys *set;
    struct syn_code_counters *count;
    __u64 slot = 0;
    __u32 index = 0;

    count = bpf_map_lookup_elem(&counters, &index);
    current = bpf_map_lookup_elem(&control, &index);
    if (!count || !current) return MAY_BE_RIGHT;
    if (syn->code == 0) goto wrong;

    index = current->active - 1;
    set = bpf_map_lookup_elem(&keys, &index);
    if (!set || set->count == 0) goto passed;

    if (set->uses_time) {
        __s64 now = monotonic_time() + current->wall_clock_offset;
        if (now > 0) slot = now / nanoseconds_per_slot;
    }
    for (__u32 i = 0; i < SYN_CODE_MAXIMUM_KEYS; i++) {
        if (i >= set->count) break;
        if (is_right_around(&set->key[i], syn, slot, set->uses_time)) goto passed;
    }
    if (set->roaming) {
        syn->address = (struct syn_code_address){};
        for (__u32 i = 0; i < SYN_CODE_MAXIMUM_KEYS; i++) {
            if (i >= set->count) break;
            if (!(set->roaming >> i & 1)) continue;
            if (is_right_around(&set->key[i], syn, slot, set->uses_time)) goto passed;
        }
    }

wrong:
    count->wrong++;
    return WRONG;
passed:
    count->passed++;
    return MAY_BE_RIGHT;
}

char LICENSE[] SEC("license") = "GPL";
