/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Declarations of glibc that Swift's Glibc module does not import, each behind a wrapper of the same meaning.
 */
#pragma once
#include <linux/capability.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/** getrandom(2): <sys/random.h> is missing in the Glibc module. Returns the bytes written, or -1 and errno. */
ssize_t clinux_getrandom(void *buffer, size_t length);

/** renameat2(2) of two paths with RENAME_NOREPLACE: hidden behind _GNU_SOURCE. Returns 0, or -1 and errno. */
int clinux_rename_noreplace(const char *from, const char *to);

/** struct mmsghdr, hidden behind _GNU_SOURCE: a message and, after recvmmsg, its length in bytes. */
struct clinux_mmsghdr {
    struct msghdr msg_hdr;
    unsigned int msg_len;
};

/** recvmmsg(2) with MSG_DONTWAIT: hidden behind _GNU_SOURCE. Returns the messages received, or -1 and errno. */
int clinux_recvmmsg_nonblocking(int socket, struct clinux_mmsghdr *messages, unsigned int count);

/** signalfd(2), close-on-exec and nonblocking: <sys/signalfd.h> is missing. Returns a descriptor, or -1 and errno. */
int clinux_signalfd(const sigset_t *signals);

/** Reads one signal number from a signalfd; 0 if none is pending. */
int clinux_signalfd_read(int descriptor);

/** eventfd(2), close-on-exec and nonblocking, at 0: <sys/eventfd.h> is missing. Returns a descriptor, or -1 and errno. */
int clinux_eventfd(void);

/** Adds 1 to an eventfd, so that it can be read. */
void clinux_eventfd_signal(int descriptor);

/** Sets an eventfd back to 0. */
void clinux_eventfd_clear(int descriptor);

/** pidfd_open(2), close-on-exec, readable once the process has ended: missing in older glibc. Returns a descriptor, or -1
    and errno. */
int clinux_pidfd_open(pid_t process);

/** pipe2(2) with O_CLOEXEC: hidden behind _GNU_SOURCE. Fills in the reading and the writing end; returns 0, or -1 and
    errno. */
int clinux_pipe(int ends[2]);

/** posix_spawn_file_actions_addchdir_np(3): hidden. The child begins in a folder. Returns 0, or an error number. */
int clinux_spawn_add_chdir(posix_spawn_file_actions_t *actions, const char *path);

/** posix_spawn_file_actions_addclosefrom_np(3): hidden. The child has no descriptor from `first` on. Returns 0, or an
    error number. */
int clinux_spawn_add_closefrom(posix_spawn_file_actions_t *actions, int first);

/** Accepts a connection (accept4(2)) whose descriptor is closed on exec; -1 with errno set if there is none. */
int clinux_accept(int listener);

/** Tells the user at the other end of a Unix socket (SO_PEERCRED of unix(7)); -1 with errno set if it cannot. */
int clinux_peer_user(int socket, uid_t *user);

/**
 * Sends IP packets by sendmmsg(2) with MSG_DONTWAIT, each to the destination in its header.
 *
 * Packet i begins at packets + i * stride and is lengths[i] bytes long, with all of its IP header; at most 64 packets.
 * What cannot be sent is passed over. A socket of -1 stands for a family that cannot be sent.
 */
void clinux_send_packets(int ipv4, int ipv6, const void *packets, size_t stride, const uint32_t *lengths,
                         uint32_t count);

/** Keeps the memory of this process out of core files and from who else runs as the same user: PR_SET_DUMPABLE of
    prctl(2), RLIMIT_CORE of setrlimit(2). Returns 0, or -1 and errno. */
int clinux_forbid_dumps(void);

/**
 * Gives up all capabilities(7) of this thread but CAP_NET_ADMIN, and all ways to get any by execve(2): the bounding,
 * inheritable and ambient sets are emptied, no program is run with more rights (PR_SET_NO_NEW_PRIVS, securebits).
 *
 * With a name it becomes that user, with the group and those that the user is in besides (initgroups(3)). What needs
 * CAP_SETPCAP is left out where the thread lacks that. To be called while there is one thread; there is no way back.
 *
 * Returns 0, or -1 and errno, with what failed in `call`.
 */
int clinux_reduce_privileges(const char *name, uid_t user, gid_t group, const char **call);

/**
 * Lets programs that are run from now on have no capabilities(7) but those of a set, a bit each, by root neither: the rest
 * is taken out of the bounding set, and PR_SET_NO_NEW_PRIVS is set. This thread keeps what it has.
 *
 * Without CAP_SETPCAP the bounding set stays as it is. Returns 0, or -1 and errno, with what failed in `call`.
 */
int clinux_limit_programs(uint64_t kept, const char **call);

/**
 * Takes away from this thread's effective capabilities all but CAP_NET_ADMIN, or gives back those that it is permitted.
 *
 * Returns 0, or -1 and errno.
 */
int clinux_set_reduced(int is_reduced);

/**
 * Gives up all capabilities(7), and all ways to get any; this process stays whose it is. While there is one thread.
 *
 * Returns 0, or -1 and errno, with what failed in `call`.
 */
int clinux_give_up_all(const char **call);

/** Sends an error number and, unless it is negative, an open file over a socket (unix(7), SCM_RIGHTS). */
void clinux_send_file(int socket, int file, int error);

/** Receives what the above has sent. Returns its error number, or that of a call that failed; 0 with a file. */
int clinux_receive_file(int socket, int *file);

/** What the kernel says of the clock, from adjtimex(2): <sys/timex.h> is missing in the Glibc module. */
struct clinux_clock_state {
    int is_synchronised;
    long estimated_error_us;
    long long unix_seconds;
};

/** Asks for it, and changes nothing. Returns 0, or -1 and errno. */
int clinux_read_clock_state(struct clinux_clock_state *state);

/** Gives free room of the heap back to the kernel (malloc_trim(3)): <malloc.h> is missing in the Glibc module. */
void clinux_trim_heap(void);

/** Lets all threads share one heap (mallopt(3), M_ARENA_MAX); before there is more than one thread. */
void clinux_share_heap(void);
