/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "syn_code_maps.h"

/** Returns whether a path is on a BPF file system: <sys/vfs.h> is missing in Swift's Glibc module. */
static inline int cbpf_is_bpf_file_system(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 && status.f_type == BPF_FS_MAGIC;
}

/** Reads the kernel's information about a map, with the type and length that libbpf leaves to the caller. */
static inline int cbpf_map_info(int map, struct bpf_map_info *info) {
    __u32 length = sizeof *info;
    return bpf_obj_get_info_by_fd(map, info, &length);
}

/* From linux/bpf.h of Linux 6.4 and, for the flag, 6.6; Debian 12 does not have these yet. */
enum { CBPF_PROGRAM_NETFILTER = 32, CBPF_ATTACH_NETFILTER = 45, CBPF_NETFILTER_DEFRAGMENTS = 1 };

/** Declares a program that is not loaded yet to be for a netfilter hook: libbpf 1.1 does not know this type. */
static inline void cbpf_make_netfilter_program(struct bpf_program *program) {
    bpf_program__set_type(program, (enum bpf_prog_type)CBPF_PROGRAM_NETFILTER);
    bpf_program__set_expected_attach_type(program, (enum bpf_attach_type)CBPF_ATTACH_NETFILTER);
}

/**
 * Attaches a program to a netfilter hook in this network namespace (BPF_LINK_CREATE). The flags are 0 or
 * CBPF_NETFILTER_DEFRAGMENTS, which turns on reassembly of fragments (at priority -400) while it is attached.
 *
 * Returns the descriptor of the link; or -1 with errno set.
 */
static inline int cbpf_attach_netfilter(int program, unsigned int family, unsigned int hook, int priority,
                                         unsigned int flags) {
    /* The start of link_create in union bpf_attr; the rest is 0. */
    struct {
        __u32 program, target, type, flags;
        __u32 family, hook;
        __s32 priority;
        __u32 netfilter_flags;
    } request;
    memset(&request, 0, sizeof request);
    request.program = (__u32)program;
    request.type = CBPF_ATTACH_NETFILTER;
    request.family = family;
    request.hook = hook;
    request.priority = priority;
    request.netfilter_flags = flags;
    return (int)syscall(SYS_bpf, BPF_LINK_CREATE, &request, sizeof request);
}
