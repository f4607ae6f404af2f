/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The map shared by all programs: created with the first program that is loaded, and passed to the others. */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "syn_code_maps.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct syn_code_control);
} control SEC(".maps");
