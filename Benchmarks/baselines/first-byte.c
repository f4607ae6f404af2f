/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a connection takes until its first byte.
 *
 *   first-byte serve PORT...
 *       accepts connections (IPv4 and IPv6), sends one byte on each and closes it
 *   first-byte connect ADDRESS PORT COUNT TIMEOUT [POLL [SOURCE [COMMAND...]]]
 *       connects COUNT times, one after the other, and prints the microseconds of each until its first byte, or
 *       "failed" and why. TIMEOUT and POLL are in milliseconds. POLL above 0: an attempt that has no answer after so
 *       long is given up for a new one. SOURCE: the own address, "-" for any. COMMAND is run first each time, and its
 *       time counts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void die(const char *what) {
    fprintf(stderr, "first-byte: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static int serve(char **ports) {
    struct pollfd listeners[16];
    nfds_t count = 0;
    for (; *ports != NULL && count < 16; ports++) {
        int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, off = 0;
        struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(*ports))};
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(listener, (struct sockaddr *)&any, sizeof any) != 0 || listen(listener, 1024) != 0) die("listen");
        listeners[count++] = (struct pollfd){.fd = listener, .events = POLLIN};
    }
    signal(SIGPIPE, SIG_IGN);
    puts("listening");
    fflush(stdout);
    while (poll(listeners, count, -1) >= 0 || errno == EINTR) {
        for (nfds_t i = 0; i < count; i++) {
            int connection = accept4(listeners[i].fd, NULL, NULL, SOCK_CLOEXEC);
            if (connection < 0) continue;
            if (write(connection, "!", 1) < 0) perror("write");
            close(connection);
        }
    }
    die("poll");
    return 1;
}

struct address {
    struct sockaddr_storage socket;
    socklen_t length;
};

static struct address read_address(const char *text, const char *port) {
    struct address address = {0};
    if (strchr(text, ':') != NULL) {
        struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&address.socket;
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons((uint16_t)atoi(port));
        address.length = sizeof *ipv6;
        if (inet_pton(AF_INET6, text, &ipv6->sin6_addr) == 1) return address;
    } else {
        struct sockaddr_in *ipv4 = (struct sockaddr_in *)&address.socket;
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons((uint16_t)atoi(port));
        address.length = sizeof *ipv4;
        if (inet_pton(AF_INET, text, &ipv4->sin_addr) == 1) return address;
    }
    errno = EINVAL;
    die(text);
    return address;
}

static void run(char **command) {
    pid_t process;
    int status;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    int result = posix_spawnp(&process, command[0], &actions, NULL, command, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0) {
        errno = result;
        die(command[0]);
    }
    if (waitpid(process, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "first-byte: %s: status %d\n", command[0], status);
        exit(1);
    }
}

/* Waits for events on a socket until a time; false if there are none by then. */
static int await(int socket, short events, double until) {
    for (;;) {
        double left = until - now();
        struct timespec limit = {.tv_sec = 0, .tv_nsec = 0};
        if (left > 0) {
            limit.tv_sec = (time_t)(left / 1e3);
            limit.tv_nsec = (long)((left - (double)limit.tv_sec * 1e3) * 1e6);
        }
        struct pollfd wanted = {.fd = socket, .events = events};
        int result = ppoll(&wanted, 1, &limit, NULL);
        if (result >= 0 || errno != EINTR) return result > 0;
    }
}

/* One attempt: 0 with the first byte received, else the error. ETIMEDOUT: no connection by `connect_until`. */
static int attempt(const struct address *to, const struct address *from, double connect_until, double until) {
    int connection = socket(to->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;
    socklen_t length = sizeof error;
    char byte;
    if (connection < 0) die("socket");
    if (from->length != 0 && bind(connection, (const struct sockaddr *)&from->socket, from->length) != 0) die("bind");
    if (connect(connection, (const struct sockaddr *)&to->socket, to->length) != 0 && errno != EINPROGRESS) {
        error = errno;
    } else if (!await(connection, POLLOUT, connect_until)) {
        error = ETIMEDOUT;
    } else {
        getsockopt(connection, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (error == 0 && !await(connection, POLLIN, until)) error = ETIME;
    if (error == 0 && read(connection, &byte, 1) != 1) error = errno == 0 ? EPIPE : errno;
    close(connection);
    return error;
}

int main(int count, char **arguments) {
    if (count >= 3 && strcmp(arguments[1], "serve") == 0) return serve(arguments + 2);
    if (count < 6 || strcmp(arguments[1], "connect") != 0) {
        fprintf(stderr, "usage: first-byte serve PORT... | connect ADDRESS PORT COUNT TIMEOUT [POLL [SOURCE [COMMAND...]]]\n");
        return 2;
    }
    struct address to = read_address(arguments[2], arguments[3]), from = {0};
    double timeout = atof(arguments[5]), every = count > 6 ? atof(arguments[6]) : 0;
    if (count > 7 && strcmp(arguments[7], "-") != 0) from = read_address(arguments[7], "0");
    char **command = count > 8 ? arguments + 8 : NULL;
    for (int left = atoi(arguments[4]); left > 0; left--) {
        double start = now(), until = start + timeout;
        int error;
        if (command != NULL) run(command);
        do {
            double attempt_until = every > 0 ? now() + every : until;
            error = attempt(&to, &from, attempt_until < until ? attempt_until : until, until);
        } while (error == ETIMEDOUT && now() < until);
        if (error == 0) {
            printf("%.1f\n", (now() - start) * 1e3);
        } else {
            printf("failed %s\n", strerror(error));
        }
        fflush(stdout);
    }
    return 0;
}
