/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Before the headers of the kernel, which then leave out what both define. */
#include <netinet/in.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_compat.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/sock_diag.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
