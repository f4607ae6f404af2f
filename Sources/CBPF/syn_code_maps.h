/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The values of the maps that tcpknock-server writes and the filter programs read; included by both.
 */
#pragma once
#include <linux/types.h>

/** The maximum number of keys. A wrong SYN costs one computation per key, and the verifier walks through all. */
#define SYN_CODE_MAXIMUM_KEYS 16

/** The only value of the map `control`. */
struct syn_code_control {
    /**
     * The entry of the map `keys` in use, counted from 1; 0: there are no keys, so all SYNs pass. This field keeps its
     * offset in all future versions, so that each version can switch off the program of any other.
     */
    __u32 active;
    /** 1: the daemon drops SYNs that carry data. */
    __u32 refuses_data;
    /** The version of the program that these maps belong to: a hash of the object files. */
    __u64 version;
    /** CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds: programs can only read the latter. */
    __s64 wall_clock_offset;
};

/** k1 of docs/PROTOCOL.md §3 as SipHash reads it: two words in little-endian order. */
struct syn_code_key {
    __u64 low;
    __u64 high;
};

/**
 * A value of the map `keys`. There are two: one is read while the other is written.
 *
 * Only root can read maps (it takes CAP_BPF, and only root can access the folder in which they are pinned), and root
 * can read the key file as well. The keys are removed when the daemon ends in an orderly way.
 */
struct syn_code_keys {
    __u32 count;
    /** 0: the slot is always 0. */
    __u32 uses_time;
    /** A bit mask of the keys whose codes are also accepted for an all-zero address. */
    __u32 roaming;
    __u32 reserved;
    struct syn_code_key key[SYN_CODE_MAXIMUM_KEYS];
};

/** The maximum number of protected places, and of exempt places. */
#define SYN_CODE_MAXIMUM_PLACES 32

/** An IPv6 or IPv4-mapped address: two words whose little-endian bytes are in network byte order. */
struct syn_code_address {
    __u64 words[2];
};

/** A destination, if protected; a source, if exempt. */
struct syn_code_place {
    /** Only the bits of the mask are compared. */
    struct syn_code_address address, mask;
    /** The name of the interface that packets arrive on, as little-endian words padded with zeros; all zeros: any. */
    __u64 interface[2];
    /** 4 or 6; 0: both. */
    __u32 family;
    /** 1: the addresses of this host; the other fields are ignored. */
    __u32 is_own;
};

/** The only value of the map `scope`: the traffic that the hook program looks at. */
struct syn_code_scope {
    /** A bit mask of the protected ports. */
    __u64 ports[65536 / 64];
    struct syn_code_place protected_places[SYN_CODE_MAXIMUM_PLACES];
    struct syn_code_place exempt_places[SYN_CODE_MAXIMUM_PLACES];
    __u32 protected_count, exempt_count;
};

/** The maximum number of this host's addresses in the map `own`. Packets to further ones pass the hook program. */
#define SYN_CODE_MAXIMUM_OWN 1024

/** The only value of the map `gate`. */
struct syn_code_gate {
    /** The traffic that the gate blocks. */
    struct syn_code_scope scope;
    /** The connection mark bit that means "verified". */
    __u32 mark;
    __u32 reserved;
};

/** The only value of the map `counters`, one per CPU: the number of packets for each answer. */
struct syn_code_counters {
    /** SYNs with a wrong code. */
    __u64 wrong;
    /** SYNs with a right code, or any SYNs while there are no keys. */
    __u64 passed;
    /** Packets that are not SYNs, or that the program cannot parse. */
    __u64 unparsed;
};
