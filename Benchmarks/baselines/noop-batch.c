/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second baseline: as little as a queue program can do. Up to 64 packets in one recvmmsg, dropped unseen by a
 * single verdict for all of them (NFQNL_MSG_VERDICT_BATCH).
 *
 *   noop-batch QUEUE LENGTH BUFFER   length of the queue in packets, receive buffer in bytes
 */
#define _GNU_SOURCE
#include <sys/uio.h>

#include "noop.h"

enum { BATCH = 64, SLOT = 4096 };

int main(int count, char **arguments) {
    unsigned int queue;
    struct mnl_socket *netlink = noop_bind(count, arguments, &queue);
    int descriptor = mnl_socket_get_fd(netlink);
    static char slots[BATCH][SLOT] __attribute__((aligned(8)));
    static struct iovec vectors[BATCH];
    static struct mmsghdr headers[BATCH];
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){.iov_base = slots[i], .iov_len = SLOT};
        headers[i].msg_hdr.msg_iov = &vectors[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    for (;;) {
        int received = recvmmsg(descriptor, headers, BATCH, MSG_WAITFORONE, NULL);
        if (received < 0) {
            if (errno == ENOBUFS || errno == EINTR) continue;
            die("recvmmsg");
        }
        /* Packet ids count upwards, and a batch verdict is for all packets up to the id it names. */
        const struct nlmsghdr *message = (const struct nlmsghdr *)slots[received - 1];
        struct nlattr *attributes[NFQA_MAX + 1] = {0};
        if (!mnl_nlmsg_ok(message, (int)headers[received - 1].msg_len)) continue;
        if (nfq_nlmsg_parse(message, attributes) < 0 || attributes[NFQA_PACKET_HDR] == NULL) continue;
        const struct nfqnl_msg_packet_hdr *header = mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]);

        char memory[256];
        struct nlmsghdr *verdict = nfq_nlmsg_put(memory, NFQNL_MSG_VERDICT_BATCH, queue);
        nfq_nlmsg_verdict_put(verdict, (int)ntohl(header->packet_id), NF_DROP);
        if (mnl_socket_sendto(netlink, verdict, verdict->nlmsg_len) < 0 && errno != ENOENT) die("sendto");
    }
}
