/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packet headers, and how a program reads them.
 *
 * A program defines `struct source` before it includes this, and the functions declared here afterwards.
 */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "syn_code_maps.h"

/* A program's access to a packet, which starts with its IP header. */
struct source;
static __always_inline __u32 length_of(struct source *packet);
/* Copies bytes of a packet; returns nonzero if they are not all there. The size is a constant multiple of 4. */
static __always_inline long read_bytes(struct source *packet, __u32 offset, void *to, __u32 size);

enum { IPV4_LENGTH = 20, IPV6_LENGTH = 40, TCP_LENGTH = 20, MAXIMUM_EXTENSION_HEADERS = 8 };
enum { HOP_BY_HOP = 0, TCP = 6, ROUTING = 43, FRAGMENT = 44, AUTHENTICATION = 51, DESTINATION_OPTIONS = 60,
       MOBILITY = 135, HOST_IDENTITY = 139, SHIM6 = 140 };
/* The loopback interface of every network namespace: LOOPBACK_IFINDEX in the kernel's net/net_namespace.h. */
enum { LOOPBACK = 1 };
enum { FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10 };

struct ipv4_header {
    __u8 version_and_length, service;
    __be16 total_length, identification, fragment;
    __u8 time_to_live, protocol;
    __be16 checksum;
    __be32 source, destination;
};

struct ipv6_header {
    __be32 version_class_flow;
    __be16 payload_length;
    __u8 next_header, hop_limit;
    __be64 source[2], destination[2];
};

/* Return the number whose little-endian bytes are those of `value` in network byte order, as SipHash reads them. */
static __always_inline __u32 read32(__be32 value) { return __builtin_bswap32(bpf_ntohl(value)); }
static __always_inline __u64 read64(__be64 value) { return __builtin_bswap64(bpf_be64_to_cpu(value)); }

/* Returns an IPv4 address as an IPv4-mapped IPv6 address. */
static __always_inline struct syn_code_address ipv4_address(__be32 address) {
    return (struct syn_code_address){{0, (__u64)read32(address) << 32 | 0xffff0000}};
}

static __always_inline struct syn_code_address ipv6_address(const __be64 *address) {
    return (struct syn_code_address){{read64(address[0]), read64(address[1])}};
}

struct tcp_header {
    __be16 source_port, destination_port;
    __be32 sequence, acknowledgment;
    __u8 data_offset, flags;
    __be16 window, checksum, urgent;
};

/* The first bytes of a packet: both headers of most SYNs over IPv4, or the IPv6 header. */
union beginning {
    struct {
        struct ipv4_header ip;
        struct tcp_header tcp;
    } v4;
    struct ipv6_header v6;
};
