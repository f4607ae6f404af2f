/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "CLinux.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
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

int clinux_read_clock_state(struct clinux_clock_state *state) {
    struct timex request = {.modes = 0};
    if (adjtimex(&request) < 0) return -1;
    state->is_synchronised = (request.status & STA_UNSYNC) == 0;
    state->estimated_error_us = request.esterror;
    state->unix_seconds = request.time.tv_sec;
    return 0;
}
