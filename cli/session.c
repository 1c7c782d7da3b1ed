/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include "cli.h"
#include "guard.h"
#include "text.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { DRAW_NS = 100000000 };

/* Blocked before the connector starts its thread, which inherits it. What we were
 * started to ignore stays ignored, as under nohup. */
static int open_signals(void)
{
    static const int ours[] = { SIGINT, SIGTERM, SIGHUP };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        struct sigaction now;
        if (sigaction(ours[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(&set, ours[i]);
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int session_open(const struct args *a, bool nixl, struct session *ret_s)
{
    struct session s = SESSION_INIT;
    s.signals = open_signals();
    if (s.signals < 0) {
        say_errno("cannot watch for signals");
        return CLI_FAILED;
    }
    struct nxc_connector_opts opts = NXC_CONNECTOR_OPTS_INIT;
    opts.listen = a->listen;
    opts.transports = a->transports;
    opts.require = a->require;
    opts.peers = nixl ? NXC_PEERS_ANY : NXC_PEERS_NATIVE;
    int r = nxc_connector_new(&opts, &s.c);
    if (r < 0) {
        int code = cli_fail(r, nxc_err_detail());
        session_close(&s);
        /* All that we hand over unchecked comes from the command line. */
        return r == NXC_EINVAL ? CLI_USAGE : code;
    }
    *ret_s = s;
    return CLI_DONE;
}

struct nxc_op_opts session_op_opts(const struct args *a)
{
    struct nxc_op_opts opts = NXC_OP_OPTS_INIT;
    opts.queued = 1;
    opts.timeout_ms = a->timeout_ms;
    return opts;
}

/* A clock for the bar; none is needed where there is no bar. */
static int open_ticks(const struct progress *p)
{
    if (!p->bar)
        return -1;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct itimerspec every = { .it_interval.tv_nsec = DRAW_NS, .it_value.tv_nsec = DRAW_NS };
    if (fd >= 0)
        timerfd_settime(fd, 0, &every, NULL);
    return fd;
}

static void draw(const struct session *s, struct progress *p, int ticks)
{
    uint64_t expired, done, total;
    ssize_t n = read(ticks, &expired, sizeof expired);
    (void)n; /* how many ticks were missed is of no interest */
    if (nxc_op_progress(s->op, &done, &total) == 0)
        progress_draw(p, done, total, nxc_op_transport(s->op));
}

int session_wait(struct session *s, struct progress *p)
{
    enum { END, SIGNAL, FAULT, TICK, FDS };
    int ticks = open_ticks(p);
    struct pollfd fds[FDS] = {
        [END] = { .fd = nxc_connector_fd(s->c), .events = POLLIN },
        [SIGNAL] = { .fd = s->signals, .events = POLLIN },
        [FAULT] = { .fd = guard_fd(), .events = POLLIN },
        [TICK] = { .fd = ticks, .events = POLLIN },
    };
    struct nxc_event end;
    int r;
    while ((r = nxc_connector_next(s->c, &end, 1)) == 0) {
        if (poll(fds, FDS, -1) < 0)
            continue; /* EINTR: fds are as they were */
        if (fds[TICK].revents)
            draw(s, p, ticks);
        if (fds[SIGNAL].revents || fds[FAULT].revents) {
            s->interrupted = fds[SIGNAL].revents != 0;
            nxc_op_cancel(s->op);
            /* Once is enough: what else poll tells is the end. */
            fds[SIGNAL].fd = fds[FAULT].fd = -1;
        }
    }
    if (ticks >= 0)
        close(ticks);
    progress_clear(p);
    return r < 0 ? r : end.error;
}

void session_close(struct session *s)
{
    nxc_op_free(s->op);
    nxc_connector_free(s->c);
    if (s->signals >= 0)
        close(s->signals);
    *s = (struct session)SESSION_INIT;
}
