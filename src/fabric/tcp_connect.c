/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/tcp.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREET_WITHIN (2 * NXI_SEC)
#define NEXT_ATTEMPT (200 * NXI_MS)

/* ---- one connection ------------------------------------------------------ */

static struct nxi_tcp_conn **list_of(struct nxi_tcp_conn *c)
{
    return c->link ? &c->link->dial->attempts : &c->fabric->guests;
}

/* Out of its list and into its grave; the socket is somebody else's now. */
static void conn_over(struct nxi_tcp_conn *c)
{
    DL_DELETE(*list_of(c), c);
    c->fd = -1;
    if (!c->link) {
        c->fabric->n_guests--;
        nxi_tcp_schedule(c->fabric);
    }
    nxi_tcp_bury(c->fabric, &c->grave, c);
}

void nxi_tcp_conn_close(struct nxi_tcp_conn *c)
{
    if (c->fd >= 0)
        nxi_tcp_hang_up(c->fabric, c->fd);
    conn_over(c);
}

static void on_conn(struct nxi_watch *w, uint32_t events, uint64_t now);

/* Takes over fd, also when it fails. */
static int conn_new(struct nxi_tcp *f, struct nxi_tcp_link *link, int fd, const union nxi_tcp_addr *peer,
                    uint32_t events, struct nxi_tcp_conn **ret_c)
{
    int yes = 1;
    struct nxi_tcp_conn *c = nxi_calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return nxi_fail(NXC_ENOMEM, "no memory for a connection");
    }
    *c = (struct nxi_tcp_conn){ .watch.fn = on_conn, .fabric = f, .link = link, .fd = fd, .peer = *peer };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event e = { .events = events, .data.ptr = &c->watch };
    if (epoll_ctl(f->env->epfd, EPOLL_CTL_ADD, fd, &e) < 0) {
        int err = errno;
        close(fd);
        free(c);
        return nxi_fail_errno(NXC_ESYSTEM, err, "epoll_ctl");
    }
    *ret_c = c;
    return 0;
}

/* A greeting always fits the empty buffer of a fresh socket. */
static bool say(struct nxi_tcp_conn *c)
{
    uint8_t out[NXI_GREET_OUT];
    size_t n = nxi_greet_output(&c->greet, out);
    return n == 0 || send(c->fd, out, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* The connection is greeted: it becomes the link l's. rest came behind the greeting. */
static void become(struct nxi_tcp_conn *c, struct nxi_tcp_link *l, const uint8_t *rest, size_t len, uint64_t now)
{
    const struct nxi_fabric *f = l->link.fabric;
    uint8_t out[NXI_GREET_OUT];
    size_t out_len = nxi_greet_output(&c->greet, out);
    l->fd = c->fd;
    l->peer = c->peer;
    l->link.version = c->greet.version;
    l->link.keepalive_ms = c->greet.keepalive_ms;
    l->link.heard = l->link.said = now;
    memcpy(l->ahead, rest, len);
    l->ahead_len = len;
    conn_over(c);
    nxi_tcp_undial(l); /* closes the attempts that came second */
    nxi_tcp_link_name(l->fabric, l->fd, l->link.name, sizeof l->link.name);

    l->interest = EPOLLIN;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = &l->watch };
    epoll_ctl(l->fabric->env->epfd, EPOLL_CTL_MOD, l->fd, &e); /* which needs no memory */
    if (out_len) { /* the opener's proof leaves together with what the dialect says at once */
        uint8_t *queue = nxi_tcp_queue(l, out_len);
        if (!queue) {
            nxi_tcp_down(l, NXC_ENOMEM, "no memory for a link", now);
            return;
        }
        memcpy(queue, out, out_len);
    }
    nxi_tcp_heat(l, now);
    l->serving = true;
    f->events->up(f->arg, &l->link, now);
    if (!l->over)
        nxi_tcp_serve(l, now);
}

/* ---- guests -------------------------------------------------------------- */

void nxi_tcp_guest_new(struct nxi_tcp *f, int fd, const union nxi_tcp_addr *peer, uint64_t now)
{
    struct nxi_tcp_conn *c;
    /* The oldest goes, not the newest: a worker greets within a round trip or
     * two, so that it is out of here before a flood of silent connections has
     * pushed it to the front; if the newest went, 64 of those every 2 s would
     * keep everybody out. */
    if (f->n_guests == NXI_TCP_GUESTS)
        nxi_tcp_conn_close(f->guests);
    if (conn_new(f, NULL, fd, peer, EPOLLIN, &c) < 0) {
        nxi_log(NXI_LOG_WARNING, "tcp: %s", nxc_err_detail());
        return;
    }
    c->deadline = nxi_after(now, GREET_WITHIN);
    nxi_greet_start(&c->greet, false, f->env->instance, f->env->link_key, f->env->keepalive_ms, NULL);
    DL_APPEND(f->guests, c);
    f->n_guests++;
    nxi_tcp_schedule(f);
}

void nxi_tcp_guests_late(struct nxi_tcp *f, uint64_t now)
{
    while (f->guests && f->guests->deadline <= now)
        nxi_tcp_conn_close(f->guests);
    nxi_tcp_schedule(f);
}

/* ---- attempts ------------------------------------------------------------ */

void nxi_tcp_undial(struct nxi_tcp_link *l)
{
    struct nxi_tcp_dial *d = l->dial;
    if (!d)
        return;
    while (d->attempts)
        nxi_tcp_conn_close(d->attempts);
    nxi_timer_unset(l->fabric->env->timers, &d->timer);
    nxi_timers_release(l->fabric->env->timers);
    free(d);
    l->dial = NULL;
}

static void remember(struct nxi_tcp_dial *d, const union nxi_tcp_addr *a, const char *why)
{
    char text[NXI_TCP_ADDR_TEXT];
    snprintf(d->error, sizeof d->error, "%s: %s", nxi_tcp_addr_text(a, text), why);
}

static void remember_errno(struct nxi_tcp_dial *d, const union nxi_tcp_addr *a, int err)
{
    char text[96];
    remember(d, a, strerror_r(err, text, sizeof text));
}

/* Starts to connect to a; false: failed already. */
static bool attempt(struct nxi_tcp_link *l, const union nxi_tcp_addr *a)
{
    struct nxi_tcp_dial *d = l->dial;
    struct nxi_tcp_conn *c;
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        remember_errno(d, a, errno);
        return false;
    }
    if (connect(fd, &a->any, nxi_tcp_addr_len(a)) < 0 && errno != EINPROGRESS) {
        remember_errno(d, a, errno);
        close(fd);
        return false;
    }
    if (conn_new(l->fabric, l, fd, a, EPOLLOUT, &c) < 0) {
        remember(d, a, nxc_err_detail());
        return false;
    }
    c->connecting = true;
    nxi_greet_start(&c->greet, true, d->instance, d->link_key, l->fabric->env->keepalive_ms, NULL);
    DL_APPEND(d->attempts, c);
    return true;
}

/* The next address that does not fail at once. When none is left and none is
 * open, the timer ends the link: connect must not do it itself. */
static void attempt_next(struct nxi_tcp_link *l, uint64_t now)
{
    struct nxi_tcp_dial *d = l->dial;
    uint64_t at = d->deadline;
    while (d->tried < d->n && !attempt(l, &d->addrs[d->tried++]))
        ;
    if (d->tried < d->n && nxi_after(now, NEXT_ATTEMPT) < at)
        at = nxi_after(now, NEXT_ATTEMPT);
    if (!d->attempts)
        at = now;
    nxi_timer_set(l->fabric->env->timers, &d->timer, at);
}

static void give_up(struct nxi_tcp_link *l, uint64_t now)
{
    struct nxi_tcp_dial *d = l->dial;
    char text[256] = "", addr[NXI_TCP_ADDR_TEXT];
    size_t len = 0;
    for (size_t i = 0; i < d->tried && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? ", " : "nobody greets at ",
                                nxi_tcp_addr_text(&d->addrs[i], addr));
    if (len < sizeof text)
        snprintf(text + len, sizeof text - len, "; %s", d->error[0] ? d->error : "no answer in time");
    nxi_tcp_down(l, NXC_EUNREACH, text, now);
}

static void on_timer(struct nxi_timer *t, uint64_t now)
{
    struct nxi_tcp_dial *d = nxi_tcp_of(t, struct nxi_tcp_dial, timer);
    if (now >= d->deadline || (!d->attempts && d->tried == d->n))
        give_up(d->link, now);
    else
        attempt_next(d->link, now);
}

/* Of an attempt: the next one is made at once. */
static void attempt_failed(struct nxi_tcp_conn *c, const char *why, uint64_t now)
{
    struct nxi_tcp_link *l = c->link;
    remember(l->dial, &c->peer, why);
    nxi_tcp_conn_close(c);
    if (l->dial->tried < l->dial->n || !l->dial->attempts)
        attempt_next(l, now);
}

/* err 0: a hang-up. */
static void failed(struct nxi_tcp_conn *c, int err, uint64_t now)
{
    char text[96];
    if (c->link)
        attempt_failed(c, err ? strerror_r(err, text, sizeof text) : "hung up before the greeting", now);
    else
        nxi_tcp_conn_close(c);
}

/* The address is reached, or not; the opener speaks first. */
static void connected(struct nxi_tcp_conn *c, uint64_t now)
{
    int err = 0;
    socklen_t len = sizeof err;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = &c->watch };
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err) {
        failed(c, err ? err : errno, now);
        return;
    }
    c->connecting = false;
    if (!say(c) || epoll_ctl(c->fabric->env->epfd, EPOLL_CTL_MOD, c->fd, &e) < 0)
        failed(c, errno, now);
}

/* The greeting ends badly. */
static void refused(struct nxi_tcp_conn *c, int code, uint64_t now)
{
    char why[160], text[256], addr[NXI_TCP_ADDR_TEXT];
    snprintf(why, sizeof why, "%s", nxc_err_detail());
    say(c); /* a foreign version is told of ours */
    if (!c->link) {
        nxi_log(NXI_LOG_INFO, "tcp: %s turned away: %s", nxi_tcp_addr_text(&c->peer, addr), why);
        nxi_tcp_conn_close(c);
    } else if (code == NXC_EPEER) {
        attempt_failed(c, why, now); /* somebody else lives there */
    } else {
        snprintf(text, sizeof text, "%s: %s", nxi_tcp_addr_text(&c->peer, addr), why);
        nxi_tcp_down(c->link, code, text, now);
    }
}

static void on_conn(struct nxi_watch *w, uint32_t events, uint64_t now)
{
    struct nxi_tcp_conn *c = nxi_tcp_of(w, struct nxi_tcp_conn, watch);
    uint8_t in[NXI_GREET_OUT];
    size_t used;
    (void)events;
    if (c->fd < 0)
        return;
    if (c->connecting) {
        connected(c, now);
        return;
    }
    ssize_t n = recv(c->fd, in, sizeof in, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        failed(c, n < 0 ? errno : 0, now);
        return;
    }
    int r = nxi_greet_input(&c->greet, in, (size_t)n, &used);
    if (r < 0) {
        refused(c, r, now);
        return;
    }
    if (r == 0) {
        if (!say(c))
            failed(c, errno, now);
        return;
    }
    struct nxi_tcp_link *l = c->link ? c->link : nxi_tcp_link_new(c->fabric);
    if (l)
        become(c, l, in + used, (size_t)n - used, now);
    else
        nxi_tcp_conn_close(c);
}

/* ---- connect ------------------------------------------------------------- */

/* The tcp addresses of an entry, IPv6 and IPv4 by turns, IPv6 first. */
static size_t choose_addrs(const struct nxi_entry *e, union nxi_tcp_addr *to)
{
    size_t n = 0, at[2] = { 0, 0 };
    static const uint8_t tags[2] = { NXI_ADDR_TCP6, NXI_ADDR_TCP4 };
    for (size_t turn = 0; at[0] < e->n || at[1] < e->n; turn = !turn) {
        while (at[turn] < e->n && e->addrs[at[turn]].tag != tags[turn])
            at[turn]++;
        if (at[turn] == e->n)
            continue;
        const uint8_t *bytes = e->addrs[at[turn]++].bytes;
        union nxi_tcp_addr *a = &to[n++];
        *a = (union nxi_tcp_addr){ 0 };
        if (turn == 0) {
            a->in6.sin6_family = AF_INET6;
            memcpy(&a->in6.sin6_addr, bytes, 16);
            memcpy(&a->in6.sin6_port, bytes + 16, 2);
        } else {
            a->in4.sin_family = AF_INET;
            memcpy(&a->in4.sin_addr, bytes, 4);
            memcpy(&a->in4.sin_port, bytes + 4, 2);
        }
    }
    return n;
}

int nxi_tcp_connect(struct nxi_fabric *fabric, const struct nxi_entry *to, void *owner, uint64_t now,
                    struct nxi_link **ret_l)
{
    struct nxi_tcp *f = nxi_tcp_of(fabric, struct nxi_tcp, fabric);
    union nxi_tcp_addr addrs[NXI_ENTRY_ADDRS];
    size_t n = choose_addrs(to, addrs);
    if (n == 0)
        return nxi_fail(NXC_EUNREACH, "the ticket has no tcp address");
    struct nxi_tcp_dial *d = nxi_calloc(1, sizeof *d);
    if (!d || nxi_timers_reserve(f->env->timers) < 0) {
        free(d);
        return nxi_fail(NXC_ENOMEM, "no memory to connect");
    }
    struct nxi_tcp_link *l = nxi_tcp_link_new(f);
    if (!l) {
        nxi_timers_release(f->env->timers);
        free(d);
        return nxi_fail(NXC_ENOMEM, "no memory for a link");
    }
    l->link.opened_here = true;
    l->link.owner = owner;
    l->dial = d;
    d->link = l;
    d->timer.fn = on_timer;
    d->deadline = nxi_after(now, f->env->connect_ms * NXI_MS);
    d->n = n;
    memcpy(d->addrs, addrs, sizeof addrs);
    memcpy(d->instance, to->instance, NXI_INSTANCE_LEN);
    memcpy(d->link_key, to->link_key, NXI_LINK_KEY_LEN);
    attempt_next(l, now);
    *ret_l = &l->link;
    return 0;
}
