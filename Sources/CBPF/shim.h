/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "syn_code_maps.h"

/** Says whether a path is on a BPF file system: <sys/vfs.h> is missing in Swift's Glibc module. */
static inline int cbpf_is_bpf_file_system(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 && status.f_type == BPF_FS_MAGIC;
}

/** Reads what the kernel knows of a map: the size of an untyped structure is a parameter that it writes back. */
static inline int cbpf_map_info(int map, struct bpf_map_info *info) {
    __u32 length = sizeof *info;
    return bpf_obj_get_info_by_fd(map, info, &length);
}
