/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lies in the maps that tcpknock-server writes and the filter program reads. Both include this.
 */
#pragma once
#include <linux/types.h>

/** So many keys at most. Each costs every wrong SYN the whole computation, and the verifier walks through all. */
#define SYN_CODE_MAXIMUM_KEYS 16

/** The only value of the map `control`. */
struct syn_code_control {
    /**
     * Which entry of the map `keys` holds, counted from 1. 0: there are no keys, all SYNs pass. This word stays where
     * it is in all versions to come, so that each version can switch off the program of any other.
     */
    __u32 active;
    /** 1: a SYN with data is none that the daemon would let pass. */
    __u32 refuses_data;
    /** Which program these maps belong to: a hash of its object file. */
    __u64 version;
    /** CLOCK_REALTIME less CLOCK_MONOTONIC, in nanoseconds: the kernel lets the program ask only the latter. */
    __s64 wall_clock_offset;
};

/** k1 of docs/PROTOCOL.md §3, as SipHash reads it: two words in little-endian order. */
struct syn_code_key {
    __u64 low;
    __u64 high;
};

/**
 * A value of the map `keys`. There are two: one is read while the other is written.
 *
 * Only root can read maps (CAP_BPF, and the folder in which they are pinned is root's alone); root can read the key
 * file as well. They are gone from here when the daemon has ended in good order.
 */
struct syn_code_keys {
    __u32 count;
    /** 0: the slot is always 0. */
    __u32 uses_time;
    /** The keys, a bit each, whose codes are good with an address of zeros too. */
    __u32 roaming;
    __u32 reserved;
    struct syn_code_key key[SYN_CODE_MAXIMUM_KEYS];
};

/** So many places at most, of those that are protected and of those that are exempt. */
#define SYN_CODE_MAXIMUM_PLACES 32

/** An IPv6 address, or an IPv4-mapped one: two words whose bytes, lowest first, are in network order. */
struct syn_code_address {
    __u64 words[2];
};

/** Where packets go to, if it is protected; where they come from, if that is exempt. */
struct syn_code_place {
    /** Only the bits of the mask count. */
    struct syn_code_address address, mask;
    /** The name of an interface that packets come in by, lowest byte first, with zeros behind it; empty: any. */
    __u64 interface[2];
    /** 4 or 6; 0: both. */
    __u32 family;
    /** 1: the addresses of this host, whatever else is here. */
    __u32 is_own;
};

/** The only value of the map `scope`: what the program at the hook looks at. */
struct syn_code_scope {
    /** Protected ports, a bit each. */
    __u64 ports[65536 / 64];
    struct syn_code_place protected_places[SYN_CODE_MAXIMUM_PLACES];
    struct syn_code_place exempt_places[SYN_CODE_MAXIMUM_PLACES];
    __u32 protected_count, exempt_count;
};

/** So many addresses of this host at most, in the map `own`. What goes to others passes the program at the hook. */
#define SYN_CODE_MAXIMUM_OWN 1024

/** The only value of the map `gate`. */
struct syn_code_gate {
    /** What it closes. */
    struct syn_code_scope scope;
    /** The bit of a connection's mark in connection tracking that says that it is verified. */
    __u32 mark;
    __u32 reserved;
};

/** The only value of the map `counters`, for each CPU: how many packets got each answer. */
struct syn_code_counters {
    /** SYNs with a code that cannot be right. */
    __u64 wrong;
    /** SYNs with a right code, or any while there are no keys. */
    __u64 passed;
    /** What is not a SYN, or not to be read here. */
    __u64 unparsed;
};
