/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions of Linux and glibc that Swift's Glibc module does not import, each in a thin wrapper.
 */
#pragma once
#include <linux/capability.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/** getrandom(2): <sys/random.h> is missing in the Glibc module. Returns the number of bytes; or -1 with errno set. */
ssize_t clinux_getrandom(void *buffer, size_t length);

/** renameat2(2) with RENAME_NOREPLACE: hidden behind _GNU_SOURCE. Returns 0; or -1 with errno set. */
int clinux_rename_noreplace(const char *from, const char *to);

/** struct mmsghdr, hidden behind _GNU_SOURCE: a message and, after recvmmsg, its length in bytes. */
struct clinux_mmsghdr {
    struct msghdr msg_hdr;
    unsigned int msg_len;
};

/** recvmmsg(2) with MSG_DONTWAIT: hidden behind _GNU_SOURCE. Returns the number of messages; or -1 with errno set. */
int clinux_recvmmsg_nonblocking(int socket, struct clinux_mmsghdr *messages, unsigned int count);

/** signalfd(2), close-on-exec and nonblocking: <sys/signalfd.h> is missing. Returns a descriptor; or -1 with errno
    set. */
int clinux_signalfd(const sigset_t *signals);

/** Reads a signal number from a signalfd; returns 0 if none is pending. */
int clinux_signalfd_read(int descriptor);

/** eventfd(2) at 0, close-on-exec and nonblocking: <sys/eventfd.h> is missing. Returns a descriptor; or -1 with errno
    set. */
int clinux_eventfd(void);

/** Adds 1 to an eventfd, which makes it readable. */
void clinux_eventfd_signal(int descriptor);

/** Resets an eventfd to 0. */
void clinux_eventfd_clear(int descriptor);

/** pidfd_open(2), close-on-exec; readable once the process has ended: missing in older glibc. Returns a descriptor;
    or -1 with errno set. */
int clinux_pidfd_open(pid_t process);

/** pipe2(2) with O_CLOEXEC: hidden behind _GNU_SOURCE. Stores the read and the write end. Returns 0; or -1 with errno
    set. */
int clinux_pipe(int ends[2]);

/** posix_spawn_file_actions_addchdir_np(3): hidden. Sets the child's working folder. Returns 0 or an error number. */
int clinux_spawn_add_chdir(posix_spawn_file_actions_t *actions, const char *path);

/** posix_spawn_file_actions_addclosefrom_np(3): hidden. Closes the child's descriptors from `first` on. Returns 0 or an
    error number. */
int clinux_spawn_add_closefrom(posix_spawn_file_actions_t *actions, int first);

/** Accepts a connection with a close-on-exec descriptor (accept4(2)). Returns the descriptor; or -1 with errno set. */
int clinux_accept(int listener);

/** Stores the user at the other end of a Unix socket (unix(7), SO_PEERCRED). Returns 0; or -1 with errno set. */
int clinux_peer_user(int socket, uid_t *user);

/**
 * Sends IP packets with sendmmsg(2) and MSG_DONTWAIT, each to the destination in its header.
 *
 * Packet i starts at packets + i * stride and has lengths[i] bytes, including the whole IP header; at most 64 packets.
 * Packets that cannot be sent are skipped. A socket of -1 means that the family is not available.
 */
void clinux_send_packets(int ipv4, int ipv6, const void *packets, size_t stride, const uint32_t *lengths,
                         uint32_t count);

/** Protects the memory of this process from core dumps and from other processes of the same user: PR_SET_DUMPABLE of
    prctl(2), RLIMIT_CORE of setrlimit(2). Returns 0; or -1 with errno set. */
int clinux_forbid_dumps(void);

/**
 * Drops all capabilities(7) of this thread except CAP_NET_ADMIN, and all ways to regain any through execve(2): the
 * bounding, inheritable and ambient sets are emptied, and programs cannot gain privileges (PR_SET_NO_NEW_PRIVS,
 * securebits).
 *
 * If `name` is given, also changes to that user, with the group and the user's supplementary groups (initgroups(3)).
 * Steps that need CAP_SETPCAP are skipped if the thread lacks it. To be called while there is only one thread; this
 * cannot be undone.
 *
 * Returns 0; or -1 with errno set and the name of the failed call in `call`.
 */
int clinux_reduce_privileges(const char *name, uid_t user, gid_t group, const char **call);

/**
 * Limits the capabilities(7) of programs run from now on to those in the bit mask `kept`, even for root: the others are
 * removed from the bounding set, and PR_SET_NO_NEW_PRIVS is set. This thread keeps its own.
 *
 * Without CAP_SETPCAP, the bounding set is left unchanged. Returns 0; or -1 with errno set and the name of the failed
 * call in `call`.
 */
int clinux_limit_programs(uint64_t kept, const char **call);

/**
 * Reduces this thread's effective capabilities to CAP_NET_ADMIN, or restores all permitted ones.
 *
 * Returns 0; or -1 with errno set.
 */
int clinux_set_reduced(int is_reduced);

/**
 * Drops all capabilities(7) and all ways to regain any; the user stays the same. To be called while there is only one
 * thread.
 *
 * Returns 0; or -1 with errno set and the name of the failed call in `call`.
 */
int clinux_give_up_all(const char **call);

/** Sends an error number and, unless `file` is negative, an open file over a socket (unix(7), SCM_RIGHTS). */
void clinux_send_file(int socket, int file, int error);

/** Receives what clinux_send_file sent. Returns its error number, or that of a failed call; 0 if there is a file. */
int clinux_receive_file(int socket, int *file);

/** The kernel's state of the clock, from adjtimex(2): <sys/timex.h> is missing in the Glibc module. */
struct clinux_clock_state {
    int is_synchronised;
    long estimated_error_us;
    long long unix_seconds;
};

/** Reads the state of the clock without changing it. Returns 0; or -1 with errno set. */
int clinux_read_clock_state(struct clinux_clock_state *state);

/** Returns free heap memory to the kernel (malloc_trim(3)): <malloc.h> is missing in the Glibc module. */
void clinux_trim_heap(void);

/** Makes all threads share one heap (mallopt(3), M_ARENA_MAX); to be called before there is more than one thread. */
void clinux_share_heap(void);
