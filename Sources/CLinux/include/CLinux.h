/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Declarations of glibc that Swift's Glibc module does not import, each behind a wrapper of the same meaning.
 */
#pragma once
#include <signal.h>
#include <stddef.h>
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

/** What the kernel says of the clock, from adjtimex(2): <sys/timex.h> is missing in the Glibc module. */
struct clinux_clock_state {
    int is_synchronised;
    long estimated_error_us;
    long long unix_seconds;
};

/** Asks for it, and changes nothing. Returns 0, or -1 and errno. */
int clinux_read_clock_state(struct clinux_clock_state *state);
