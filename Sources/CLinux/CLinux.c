/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <spawn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

ssize_t clinux_getrandom(void *buffer, size_t length) { return getrandom(buffer, length, 0); }

int clinux_rename_noreplace(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

_Static_assert(sizeof(struct clinux_mmsghdr) == sizeof(struct mmsghdr), "struct mmsghdr has another layout");
_Static_assert(offsetof(struct clinux_mmsghdr, msg_len) == offsetof(struct mmsghdr, msg_len),
               "struct mmsghdr has another layout");

int clinux_recvmmsg_nonblocking(int socket, struct clinux_mmsghdr *messages, unsigned int count) {
    return recvmmsg(socket, (struct mmsghdr *)messages, count, MSG_DONTWAIT, NULL);
}

int clinux_signalfd(const sigset_t *signals) { return signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK); }

int clinux_signalfd_read(int descriptor) {
    struct signalfd_siginfo information;
    return read(descriptor, &information, sizeof information) == sizeof information ? (int)information.ssi_signo : 0;
}

int clinux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void clinux_eventfd_signal(int descriptor) { (void)eventfd_write(descriptor, 1); }

void clinux_eventfd_clear(int descriptor) {
    eventfd_t value;
    (void)eventfd_read(descriptor, &value);
}

int clinux_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int clinux_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int clinux_spawn_add_chdir(posix_spawn_file_actions_t *actions, const char *path) {
    return posix_spawn_file_actions_addchdir_np(actions, path);
}

int clinux_spawn_add_closefrom(posix_spawn_file_actions_t *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

int clinux_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC); }

int clinux_peer_user(int socket, uid_t *user) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -1;
    *user = credentials.uid;
    return 0;
}

enum { MAXIMUM_PACKETS = 64 };

static void send_family(int socket, int version, const unsigned char *packets, size_t stride, const uint32_t *lengths,
                        uint32_t count) {
    struct sockaddr_in6 ends[MAXIMUM_PACKETS];
    struct iovec parts[MAXIMUM_PACKETS];
    struct mmsghdr messages[MAXIMUM_PACKETS];
    unsigned int waiting = 0, sent = 0;
    if (socket < 0) return;
    for (uint32_t i = 0; i < count && i < MAXIMUM_PACKETS; i++) {
        const unsigned char *packet = packets + i * stride;
        struct mmsghdr *message = &messages[waiting];
        if (packet[0] >> 4 != version || lengths[i] < (version == 4 ? 20 : 40)) continue;
        memset(&ends[waiting], 0, sizeof ends[waiting]);
        memset(message, 0, sizeof *message);
        if (version == 4) {
            struct sockaddr_in *end = (struct sockaddr_in *)&ends[waiting];
            end->sin_family = AF_INET;
            memcpy(&end->sin_addr, packet + 16, sizeof end->sin_addr);
            message->msg_hdr.msg_namelen = sizeof *end;
        } else {
            ends[waiting].sin6_family = AF_INET6;
            memcpy(&ends[waiting].sin6_addr, packet + 24, sizeof ends[waiting].sin6_addr);
            message->msg_hdr.msg_namelen = sizeof ends[waiting];
        }
        parts[waiting].iov_base = (void *)packet;
        parts[waiting].iov_len = lengths[i];
        message->msg_hdr.msg_name = &ends[waiting];
        message->msg_hdr.msg_iov = &parts[waiting];
        message->msg_hdr.msg_iovlen = 1;
        waiting++;
    }
    while (sent < waiting) {
        int result = sendmmsg(socket, messages + sent, waiting - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        /* An error is about the first message that was not sent. */
        sent += result > 0 ? (unsigned int)result : 1;
    }
}

void clinux_send_packets(int ipv4, int ipv6, const void *packets, size_t stride, const uint32_t *lengths,
                         uint32_t count) {
    send_family(ipv4, 4, packets, stride, lengths, count);
    send_family(ipv6, 6, packets, stride, lengths, count);
}

int clinux_read_clock_state(struct clinux_clock_state *state) {
    struct timex request = {.modes = 0};
    if (adjtimex(&request) < 0) return -1;
    state->is_synchronised = (request.status & STA_UNSYNC) == 0;
    state->estimated_error_us = request.esterror;
    state->unix_seconds = request.time.tv_sec;
    return 0;
}

int clinux_forbid_dumps(void) {
    struct rlimit none = {0, 0};
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0 ? 0 : -1;
}

/* glibc has no wrappers for capget(2) and capset(2). In version 3, each set consists of two words. */
struct capability_sets {
    struct __user_cap_data_struct word[_LINUX_CAPABILITY_U32S_3];
};

static int get_capabilities(struct capability_sets *sets) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return (int)syscall(SYS_capget, &header, sets->word);
}

static int set_capabilities(const struct capability_sets *sets) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return (int)syscall(SYS_capset, &header, sets->word);
}

int clinux_set_reduced(int is_reduced) {
    struct capability_sets sets;
    if (get_capabilities(&sets) != 0) return -1;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) sets.word[i].effective = sets.word[i].permitted;
    if (is_reduced) {
        for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) sets.word[i].effective = 0;
        sets.word[CAP_TO_INDEX(CAP_NET_ADMIN)].effective =
            sets.word[CAP_TO_INDEX(CAP_NET_ADMIN)].permitted & CAP_TO_MASK(CAP_NET_ADMIN);
    }
    return set_capabilities(&sets);
}

static int may_change_sets(void) {
    struct capability_sets sets;
    return get_capabilities(&sets) == 0 && (sets.word[CAP_TO_INDEX(CAP_SETPCAP)].effective & CAP_TO_MASK(CAP_SETPCAP));
}

static int limit_bounding_set(uint64_t kept, const char **call) {
    *call = "prctl PR_CAPBSET_DROP";
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (!(kept >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return -1;
    return 0;
}

int clinux_limit_programs(uint64_t kept, const char **call) {
    if (may_change_sets() && limit_bounding_set(kept, call) != 0) return -1;
    *call = "prctl PR_SET_NO_NEW_PRIVS";
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int close_ways_back(const char **call) {
    /* Programs run as root get no capabilities, none can become ambient; KEEP_CAPS is for the change of user. */
    const int bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED | SECBIT_KEEP_CAPS;
    if (limit_bounding_set(0, call) != 0) return -1;
    *call = "prctl PR_SET_SECUREBITS";
    return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0);
}

static int become(const char *name, uid_t user, gid_t group, const char **call) {
    *call = "prctl PR_SET_KEEPCAPS";
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return -1;
    *call = "initgroups";
    if (initgroups(name, group) != 0) return -1;
    *call = "setresgid";
    if (setresgid(group, group, group) != 0) return -1;
    *call = "setresuid";
    return setresuid(user, user, user);
}

int clinux_reduce_privileges(const char *name, uid_t user, gid_t group, const char **call) {
    struct capability_sets sets;
    /* Key memory is also locked later, without the right to exceed the limit. If it cannot be raised, it stays. */
    const rlim_t enough = 64 << 20;
    struct rlimit locked;
    if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur < enough) {
        locked.rlim_cur = enough;
        if (locked.rlim_max < enough) locked.rlim_max = enough;
        (void)setrlimit(RLIMIT_MEMLOCK, &locked);
    }
    if (may_change_sets() && close_ways_back(call) != 0) return -1;
    if (name && become(name, user, group, call) != 0) return -1;

    *call = "capset";
    memset(&sets, 0, sizeof sets);
    sets.word[CAP_TO_INDEX(CAP_NET_ADMIN)].permitted = CAP_TO_MASK(CAP_NET_ADMIN);
    sets.word[CAP_TO_INDEX(CAP_NET_ADMIN)].effective = CAP_TO_MASK(CAP_NET_ADMIN);
    if (set_capabilities(&sets) != 0) return -1;
    *call = "prctl PR_SET_KEEPCAPS";
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return -1;
    *call = "prctl PR_CAP_AMBIENT_CLEAR_ALL";
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return -1;
    *call = "prctl PR_SET_NO_NEW_PRIVS";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    /* A change of user resets this. */
    *call = "prctl PR_SET_DUMPABLE";
    return clinux_forbid_dumps();
}

int clinux_give_up_all(const char **call) {
    struct capability_sets none;
    memset(&none, 0, sizeof none);
    if (clinux_limit_programs(0, call) != 0) return -1;
    *call = "capset";
    return set_capabilities(&none);
}

/* Room for one descriptor, aligned as CMSG_DATA requires. */
union file_message {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

void clinux_send_file(int socket, int file, int error) {
    union file_message control;
    struct iovec part = {&error, sizeof error};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (file >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof file);
        memcpy(CMSG_DATA(&control.header), &file, sizeof file);
    }
    (void)sendmsg(socket, &message, MSG_NOSIGNAL);
}

int clinux_receive_file(int socket, int *file) {
    union file_message control;
    int error = EIO;
    struct iovec part = {&error, sizeof error};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header;
    ssize_t length;
    do length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    *file = -1;
    if (length < 0) return errno;
    if (length != sizeof error) return EIO;
    header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof *file))
        memcpy(file, CMSG_DATA(header), sizeof *file);
    return error == 0 && *file < 0 ? EIO : error;
}

void clinux_trim_heap(void) { malloc_trim(0); }

void clinux_share_heap(void) { mallopt(M_ARENA_MAX, 1); }
