/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends SYNs past the host's own TCP, as fast as told: AF_PACKET and sendmmsg, 64 packets at a time.
 *
 * Sources, ports and ISNs are random; the rest is what Linux sends, with right checksums. When done (or told to end by
 * SIGTERM or SIGINT) it prints one line: how many were sent, and in how many seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

static const char usage_text[] =
    "usage: synflood --interface NAME --mac MAC --to ADDRESS [--port 22]\n"
    "                [--code random|zero|valid] [--key HEX] [--rate N] [--count N] [--seconds S]\n"
    "  --interface NAME  where the packets leave\n"
    "  --mac MAC         the link address of the receiver\n"
    "  --to ADDRESS      IPv4 or IPv6; the sources are random addresses of 32.0.0.0/3 or 2001:db8::/32\n"
    "  --port N          the port they knock at\n"
    "  --code WHICH      what the acknowledgment field holds: something random that is not 0, 0, or a valid code\n"
    "  --key HEX         the 16 bytes of the subkey for SYN codes (docs/PROTOCOL.md, k1); for --code valid\n"
    "  --rate N          packets per second; 0: as many as can be sent\n"
    "  --count N, --seconds S   when to stop: whatever is reached first; one of them is needed\n";

enum { BATCH = 64, FRAME = 128, ETHERNET = 14, TCP_LENGTH = 40 };
enum code { RANDOM, ZERO, VALID };

static volatile sig_atomic_t told_to_end;

static void end(int unused) {
    (void)unused;
    told_to_end = 1;
}

static void die(const char *what) {
    fprintf(stderr, "synflood: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void usage(const char *problem) {
    fprintf(stderr, "synflood: %s\n%s", problem, usage_text);
    exit(2);
}

/* xoroshiro128+: fast, and random enough for addresses. */
static uint64_t state[2];

static uint64_t random64(void) {
    uint64_t a = state[0], b = state[1], result = a + b;
    b ^= a;
    state[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
    state[1] = (b << 37) | (b >> 27);
    return result;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* The sum of 16-bit words in network order (RFC 1071). */
static uint32_t sum(const uint8_t *bytes, size_t length) {
    uint32_t total = 0;
    for (size_t i = 0; i + 1 < length; i += 2) total += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    return total;
}

static void store_checksum(uint8_t *to, uint32_t total) {
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    to[0] = (uint8_t)(~total >> 8);
    to[1] = (uint8_t)~total;
}

static void store32(uint8_t *to, uint32_t value) {
    value = htonl(value);
    memcpy(to, &value, 4);
}

static struct {
    bool ipv6;
    enum code code;
    uint8_t key[16];
    uint8_t to[16];
    uint16_t port;
} settings = {.code = RANDOM, .port = 22};

static size_t ip_length(void) { return settings.ipv6 ? 40 : 20; }

/* What is the same in all frames. */
static void prepare(uint8_t *frame, const uint8_t to_mac[6], const uint8_t from_mac[6]) {
    memcpy(frame, to_mac, 6);
    memcpy(frame + 6, from_mac, 6);
    uint8_t *ip = frame + ETHERNET, *tcp = ip + ip_length();
    if (settings.ipv6) {
        memcpy(frame + 12, "\x86\xdd", 2);
        memcpy(ip, "\x60\0\0\0\0\x28\6\x40\x20\1\x0d\xb8", 12);
        memcpy(ip + 24, settings.to, 16);
    } else {
        memcpy(frame + 12, "\x08\0", 2);
        memcpy(ip, "\x45\0\0\x3c\0\0\x40\0\x40\6", 10);
        memcpy(ip + 16, settings.to, 4);
    }
    tcp[2] = (uint8_t)(settings.port >> 8);
    tcp[3] = (uint8_t)settings.port;
    tcp[12] = TCP_LENGTH / 4 << 4;
    tcp[13] = 0x02;
    tcp[14] = 0xfa;
    tcp[15] = 0xf0;
    /* MSS, SACK permitted, timestamps, no-operation, window scale. */
    memcpy(tcp + 20, "\2\4\5\xb4\4\2\x08\x0a\0\0\0\0\0\0\0\0\1\3\3\7", 20);
}

static uint32_t valid_code(const uint8_t *ip, uint32_t isn, uint64_t slot) {
    uint8_t message[28] = {0}, output[8];
    if (settings.ipv6) {
        memcpy(message, ip + 8, 16);
    } else {
        message[10] = message[11] = 0xff;
        memcpy(message + 12, ip + 12, 4);
    }
    store32(message + 16, isn);
    store32(message + 20, (uint32_t)(slot >> 32));
    store32(message + 24, (uint32_t)slot);
    crypto_shorthash(output, message, sizeof message, settings.key);
    uint32_t code;
    memcpy(&code, output, 4);
    return code == 0 ? 1 : ntohl(code);
}

/* What differs. */
static void vary(uint8_t *frame, uint64_t slot) {
    uint8_t *ip = frame + ETHERNET, *tcp = ip + ip_length();
    uint64_t one = random64(), two = random64();
    size_t addresses = settings.ipv6 ? 8 : 12;
    if (settings.ipv6) {
        uint64_t three = random64();
        memcpy(ip + 12, &two, 4);
        memcpy(ip + 16, &three, 8);
    } else {
        memcpy(ip + 12, &two, 4);
        ip[12] = 0x20 | (ip[12] & 0x1f);
        memset(ip + 10, 0, 2);
        store_checksum(ip + 10, sum(ip, 20));
    }
    uint16_t port = (uint16_t)(1024 + (uint16_t)(two >> 32) % 64000);
    tcp[0] = (uint8_t)(port >> 8);
    tcp[1] = (uint8_t)port;
    store32(tcp + 4, (uint32_t)one);
    uint32_t code = (uint32_t)(one >> 32);
    switch (settings.code) {
    case RANDOM: code = code == 0 ? 1 : code; break;
    case ZERO: code = 0; break;
    case VALID: code = valid_code(ip, (uint32_t)one, slot); break;
    }
    store32(tcp + 8, code);
    memset(tcp + 16, 0, 2);
    store_checksum(tcp + 16, sum(ip + addresses, ip_length() - addresses) + sum(tcp, TCP_LENGTH) + 6 + TCP_LENGTH);
}

static void read_mac(const char *text, uint8_t mac[6]) {
    if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6)
        usage("--mac wants six bytes");
}

static void read_own_mac(const char *interface, uint8_t mac[6]) {
    char path[256], text[32] = "";
    snprintf(path, sizeof path, "/sys/class/net/%s/address", interface);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(text, sizeof text, file) == NULL) die(path);
    fclose(file);
    read_mac(text, mac);
}

int main(int argument_count, char **arguments) {
    static const struct option options[] = {
        {"interface", required_argument, NULL, 'i'}, {"mac", required_argument, NULL, 'm'},
        {"to", required_argument, NULL, 't'},        {"port", required_argument, NULL, 'p'},
        {"code", required_argument, NULL, 'c'},      {"key", required_argument, NULL, 'k'},
        {"rate", required_argument, NULL, 'r'},      {"count", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'},   {NULL, 0, NULL, 0}};
    const char *interface = NULL, *mac = NULL, *to = NULL, *key = NULL;
    double rate = 0, seconds = 0;
    unsigned long long count = 0;
    for (int option; (option = getopt_long(argument_count, arguments, "", options, NULL)) != -1;) {
        switch (option) {
        case 'i': interface = optarg; break;
        case 'm': mac = optarg; break;
        case 't': to = optarg; break;
        case 'p': settings.port = (uint16_t)atoi(optarg); break;
        case 'c':
            settings.code = strcmp(optarg, "zero") == 0 ? ZERO : strcmp(optarg, "valid") == 0 ? VALID : RANDOM;
            break;
        case 'k': key = optarg; break;
        case 'r': rate = atof(optarg); break;
        case 'n': count = strtoull(optarg, NULL, 10); break;
        case 's': seconds = atof(optarg); break;
        default: usage("no such option");
        }
    }
    if (interface == NULL || mac == NULL || to == NULL) usage("--interface, --mac and --to are needed");
    if (count == 0 && seconds <= 0) usage("--count or --seconds is needed");
    settings.ipv6 = strchr(to, ':') != NULL;
    if (inet_pton(settings.ipv6 ? AF_INET6 : AF_INET, to, settings.to) != 1) usage("--to wants an address");
    if (settings.code == VALID &&
        (key == NULL || sodium_hex2bin(settings.key, 16, key, strlen(key), NULL, NULL, NULL) != 0))
        usage("--code valid wants --key");

    uint8_t to_mac[6], from_mac[6];
    read_mac(mac, to_mac);
    read_own_mac(interface, from_mac);
    int packets = socket(AF_PACKET, SOCK_RAW, 0);
    if (packets < 0) die("packet socket");
    int one = 1, buffer = 16 << 20;
    setsockopt(packets, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(packets, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    struct sockaddr_ll link = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(settings.ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP),
        .sll_ifindex = (int)if_nametoindex(interface),
        .sll_halen = 6,
    };
    memcpy(link.sll_addr, to_mac, 6);

    static uint8_t frames[BATCH][FRAME];
    static struct iovec vectors[BATCH];
    static struct mmsghdr headers[BATCH];
    for (int i = 0; i < BATCH; i++) {
        prepare(frames[i], to_mac, from_mac);
        vectors[i] = (struct iovec){.iov_base = frames[i], .iov_len = ETHERNET + ip_length() + TCP_LENGTH};
        headers[i].msg_hdr = (struct msghdr){
            .msg_name = &link, .msg_namelen = sizeof link, .msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    if (getrandom(state, sizeof state, 0) != sizeof state) die("getrandom");
    signal(SIGTERM, end);
    signal(SIGINT, end);
    prctl(PR_SET_TIMERSLACK, 1);

    unsigned long long sent = 0;
    double start = now(), at = start;
    while (!told_to_end && (count == 0 || sent < count) && (seconds <= 0 || at - start < seconds)) {
        unsigned long long batch = BATCH;
        if (rate > 0) {
            double due = (at - start) * rate - (double)sent;
            if (due < 1) {
                double wait = (1 - due) / rate;
                if (wait < 20e-6) wait = 20e-6;
                struct timespec pause = {.tv_sec = (time_t)wait, .tv_nsec = (long)((wait - (time_t)wait) * 1e9)};
                nanosleep(&pause, NULL);
                at = now();
                continue;
            }
            if (due < BATCH) batch = (unsigned long long)due;
        }
        if (count != 0 && batch > count - sent) batch = count - sent;
        uint64_t slot = (uint64_t)time(NULL) / 60;
        for (unsigned long long i = 0; i < batch; i++) vary(frames[i], slot);
        int result = sendmmsg(packets, headers, (unsigned int)batch, 0);
        if (result > 0) {
            sent += (unsigned long long)result;
        } else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR) {
            die("sendmmsg");
        }
        at = now();
    }
    printf("sent %llu seconds %.6f\n", sent, at - start);
}
