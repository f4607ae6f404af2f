/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both baselines share: binding a queue. */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/types.h>
/* nfnetlink_queue.h wants linux/types.h. */
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline void noop_request(struct mnl_socket *netlink, struct nlmsghdr *message) {
    char answer[4096];
    message->nlmsg_flags |= NLM_F_ACK;
    if (mnl_socket_sendto(netlink, message, message->nlmsg_len) < 0) die("sendto");
    ssize_t length = mnl_socket_recvfrom(netlink, answer, sizeof answer);
    if (length < 0 || mnl_cb_run(answer, (size_t)length, 0, mnl_socket_get_portid(netlink), NULL, NULL) < 0)
        die("bind queue");
}

/** Binds the queue that the command line names, says "ready", and returns its socket. */
static inline struct mnl_socket *noop_bind(int count, char **arguments, unsigned int *queue) {
    if (count != 4) {
        fprintf(stderr, "usage: %s QUEUE LENGTH BUFFER\n", arguments[0]);
        exit(2);
    }
    *queue = (unsigned int)atoi(arguments[1]);
    struct mnl_socket *netlink = mnl_socket_open(NETLINK_NETFILTER);
    if (netlink == NULL || mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0) die("netlink socket");

    char memory[4096];
    struct nlmsghdr *message = nfq_nlmsg_put(memory, NFQNL_MSG_CONFIG, *queue);
    nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
    noop_request(netlink, message);
    message = nfq_nlmsg_put(memory, NFQNL_MSG_CONFIG, *queue);
    nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, 0xffff);
    nfq_nlmsg_cfg_put_qmaxlen(message, (uint32_t)atoi(arguments[2]));
    noop_request(netlink, message);

    int buffer = atoi(arguments[3]);
    if (setsockopt(mnl_socket_get_fd(netlink), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0)
        die("SO_RCVBUFFORCE");
    puts("ready");
    fflush(stdout);
    return netlink;
}
