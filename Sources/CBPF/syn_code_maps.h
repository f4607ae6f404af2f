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
    __u32 reserved;
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

/** The only value of the map `ports`: those that the program at the hook looks at, a bit each. */
struct syn_code_ports {
    __u64 words[65536 / 64];
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
