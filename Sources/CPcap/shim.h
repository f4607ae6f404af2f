/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <pcap/pcap.h>
#include <sys/socket.h>

/*
 * Attaches a classic BPF program to a socket (socket(7), SO_ATTACH_FILTER), replacing an earlier one.
 *
 * libpcap's struct bpf_insn is the kernel's struct sock_filter; <linux/filter.h> itself does not go together with
 * libpcap's header. Returns 0, or -1 and errno.
 */
static inline int cpcap_attach_filter(int socket, const struct bpf_insn *instructions, unsigned short count) {
    const struct {
        unsigned short len;
        const struct bpf_insn *filter;
    } program = {count, instructions};
    return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}
