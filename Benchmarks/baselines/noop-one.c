/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first baseline: a queue program as most are written. One recv and one sendmsg for each packet, which is dropped
 * unseen.
 *
 *   noop-one QUEUE LENGTH BUFFER     length of the queue in packets, receive buffer in bytes
 */
#include "noop.h"

static struct mnl_socket *netlink;
static unsigned int queue;

static int on_packet(const struct nlmsghdr *message, void *unused) {
    (void)unused;
    struct nlattr *attributes[NFQA_MAX + 1] = {0};
    if (nfq_nlmsg_parse(message, attributes) < 0 || attributes[NFQA_PACKET_HDR] == NULL) return MNL_CB_OK;
    const struct nfqnl_msg_packet_hdr *header = mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]);

    char memory[256];
    struct nlmsghdr *verdict = nfq_nlmsg_put(memory, NFQNL_MSG_VERDICT, queue);
    nfq_nlmsg_verdict_put(verdict, (int)ntohl(header->packet_id), NF_DROP);
    if (mnl_socket_sendto(netlink, verdict, verdict->nlmsg_len) < 0) die("sendto");
    return MNL_CB_OK;
}

int main(int count, char **arguments) {
    netlink = noop_bind(count, arguments, &queue);
    unsigned int port = mnl_socket_get_portid(netlink);
    static char memory[0xffff + 4096];
    for (;;) {
        ssize_t length = mnl_socket_recvfrom(netlink, memory, sizeof memory);
        if (length < 0) {
            if (errno == ENOBUFS || errno == EINTR) continue;
            die("recvfrom");
        }
        mnl_cb_run(memory, (size_t)length, 0, port, on_packet, NULL);
    }
}
