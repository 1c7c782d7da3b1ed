/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/tcp.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/table.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOT_FOR (1000 * NXI_US)
enum { DRAIN_MAX = 1 << 20 };

static struct nxi_tcp *tcp_of(struct nxi_fabric *fabric)
{
    return nxi_tcp_of(fabric, struct nxi_tcp, fabric);
}

void nxi_tcp_bury(struct nxi_tcp *f, struct nxi_tcp_grave *g, void *mem)
{
    g->mem = mem;
    g->next = f->graves;
    f->graves = g;
}

static void empty_graves(struct nxi_tcp *f)
{
    while (f->graves) {
        struct nxi_tcp_grave *g = f->graves;
        f->graves = g->next;
        free(g->mem);
    }
}

void nxi_tcp_hang_up(const struct nxi_tcp *f, int fd)
{
    /* Closing does not take the socket out of epoll while a forked child still has it. */
    epoll_ctl(f->env->epfd, EPOLL_CTL_DEL, fd, NULL);
    shutdown(fd, SHUT_WR);
    /* Closing over unread bytes resets the connection, and a reset can overtake
     * our last words: so throw away first what is there. */
    for (size_t all = 0; all < DRAIN_MAX;) {
        ssize_t n = recv(fd, NULL, DRAIN_MAX, MSG_TRUNC | MSG_DONTWAIT);
        if (n <= 0)
            break;
        all += (size_t)n;
    }
    close(fd);
}

/* ---- which links are looked at ------------------------------------------- */

/* While the driver is awake, poll tries a hot link's output; asking epoll for it
 * too would cost two calls for each piece. */
void nxi_tcp_update_interest(struct nxi_tcp_link *l)
{
    if (l->over)
        return;
    uint32_t want = nxi_tcp_paused(l) ? 0 : EPOLLIN;
    if (l->blocked && (!l->hot || l->fabric->armed || (l->interest & EPOLLOUT)))
        want |= EPOLLOUT;
    if (l->draining)
        want |= EPOLLOUT;
    if (want == l->interest)
        return;
    struct epoll_event e = { .events = want, .data.ptr = &l->watch };
    if (epoll_ctl(l->fabric->env->epfd, EPOLL_CTL_MOD, l->fd, &e) == 0)
        l->interest = want;
}

static void cool(struct nxi_tcp_link *l)
{
    struct nxi_tcp *f = l->fabric;
    for (int i = 0; i < NXI_TCP_HOT; i++)
        if (f->hot[i] == l)
            f->hot[i] = NULL;
    l->hot = false;
    nxi_tcp_update_interest(l);
}

void nxi_tcp_heat(struct nxi_tcp_link *l, uint64_t now)
{
    struct nxi_tcp *f = l->fabric;
    l->moved = now;
    for (int i = 0; i < NXI_TCP_HOT && !l->hot; i++) {
        struct nxi_tcp_link *other = f->hot[i];
        if (other && now > other->moved + HOT_FOR)
            cool(other);
        if (!f->hot[i]) {
            f->hot[i] = l;
            l->hot = true;
        }
    }
}

void nxi_tcp_make_due(struct nxi_tcp_link *l)
{
    if (l->due || l->over)
        return;
    l->due = true;
    l->fabric->n_due++;
    DL_APPEND2(l->fabric->due, l, due_prev, due_next);
}

static void not_due(struct nxi_tcp_link *l)
{
    if (!l->due)
        return;
    l->due = false;
    l->fabric->n_due--;
    DL_DELETE2(l->fabric->due, l, due_prev, due_next);
}

int nxi_tcp_serve(struct nxi_tcp_link *l, uint64_t now)
{
    l->serving = true;
    int moved = nxi_tcp_transmit(l, now);
    if (!l->over)
        moved += nxi_tcp_receive(l, now);
    l->serving = false;
    if (l->over)
        return moved;
    if (!l->blocked && l->queue_len) /* what was said in the events */
        nxi_tcp_push(l);
    /* A link that is refused room while nothing is blocked hears of it next time. */
    if (!l->blocked && l->refused)
        nxi_tcp_make_due(l);
    nxi_tcp_update_interest(l);
    return moved;
}

static void on_link(struct nxi_watch *w, uint32_t events, uint64_t now)
{
    struct nxi_tcp_link *l = nxi_tcp_of(w, struct nxi_tcp_link, watch);
    if (l->over)
        return;
    if (events & EPOLLOUT)
        l->draining = false;
    nxi_tcp_serve(l, now); /* finds out the rest by itself, errors too */
}

/* ---- links --------------------------------------------------------------- */

struct nxi_tcp_link *nxi_tcp_link_new(struct nxi_tcp *f)
{
    struct nxi_tcp_link *l = nxi_calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->link.fabric = &f->fabric;
    l->link.eager_max = NXI_TCP_EAGER_MAX;
    l->link.piece_max = NXI_TCP_PIECE_MAX;
    strcpy(l->link.name, "tcp");
    l->watch.fn = on_link;
    l->fabric = f;
    l->fd = -1;
    DL_APPEND(f->links, l);
    return l;
}

/* From here on the link is nowhere but in its grave. */
static void link_over(struct nxi_tcp_link *l)
{
    struct nxi_tcp *f = l->fabric;
    l->over = true;
    not_due(l);
    cool(l);
    nxi_tcp_undial(l);
    DL_DELETE(f->links, l);
    if (l->fd >= 0)
        nxi_tcp_hang_up(f, l->fd);
    l->fd = -1;
    free(l->queue);
    l->queue = NULL;
    nxi_tcp_bury(f, &l->grave, l);
}

void nxi_tcp_down(struct nxi_tcp_link *l, int code, const char *text, uint64_t now)
{
    const struct nxi_fabric *f = l->link.fabric;
    link_over(l);
    f->events->down(f->arg, &l->link, code, text, now);
}

static void tcp_close(struct nxi_link *link)
{
    struct nxi_tcp_link *l = nxi_tcp_of(link, struct nxi_tcp_link, link);
    assert(!l->over);
    if (l->fd >= 0 && !l->failed)
        nxi_tcp_push(l);
    link_over(l);
}

/* ---- the fabric ---------------------------------------------------------- */

static int tcp_addrs(struct nxi_fabric *fabric, struct nxi_entry *e)
{
    struct nxi_tcp *f = tcp_of(fabric);
    for (size_t i = 0; i < f->n_listeners && e->n < NXI_ENTRY_ADDRS; i++) {
        const union nxi_tcp_addr *from = &f->listeners[i].addr;
        struct nxi_addr *to = &e->addrs[e->n++];
        if (from->any.sa_family == AF_INET) {
            to->tag = NXI_ADDR_TCP4;
            memcpy(to->bytes, &from->in4.sin_addr, 4);
            memcpy(to->bytes + 4, &from->in4.sin_port, 2);
            to->len = 6;
        } else {
            to->tag = NXI_ADDR_TCP6;
            memcpy(to->bytes, &from->in6.sin6_addr, 16);
            memcpy(to->bytes + 16, &from->in6.sin6_port, 2);
            to->len = 18;
        }
    }
    return 0;
}

static int tcp_poll(struct nxi_fabric *fabric, uint64_t now)
{
    struct nxi_tcp *f = tcp_of(fabric);
    int moved = 0;
    if (f->graves)
        empty_graves(f);
    /* Those that become due meanwhile wait for the next poll. */
    for (size_t n = f->n_due; n && f->due; n--) {
        struct nxi_tcp_link *l = f->due;
        not_due(l);
        moved += nxi_tcp_serve(l, now);
    }
    for (int i = 0; i < NXI_TCP_HOT; i++) {
        struct nxi_tcp_link *l = f->hot[i];
        if (!l)
            continue;
        if (now > l->moved + HOT_FOR)
            cool(l);
        else
            moved += nxi_tcp_serve(l, now);
    }
    return moved;
}

static bool tcp_arm(struct nxi_fabric *fabric)
{
    struct nxi_tcp *f = tcp_of(fabric);
    f->armed = true;
    for (int i = 0; i < NXI_TCP_HOT; i++)
        if (f->hot[i])
            nxi_tcp_update_interest(f->hot[i]);
    return f->due != NULL;
}

static void tcp_wake(struct nxi_fabric *fabric)
{
    tcp_of(fabric)->armed = false;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void tcp_forked(struct nxi_fabric *fabric)
{
    struct nxi_tcp *f = tcp_of(fabric);
    struct nxi_tcp_conn *c;
    for (size_t i = 0; i < f->n_listeners; i++)
        close_fd(&f->listeners[i].fd);
    DL_FOREACH(f->guests, c)
        close_fd(&c->fd);
    for (struct nxi_tcp_link *l = f->links; l; l = l->next) {
        close_fd(&l->fd);
        if (!l->dial)
            continue;
        DL_FOREACH(l->dial->attempts, c)
            close_fd(&c->fd);
    }
}

static void tcp_free(struct nxi_fabric *fabric)
{
    if (!fabric)
        return;
    struct nxi_tcp *f = tcp_of(fabric);
    while (f->links)
        tcp_close(&f->links->link);
    while (f->guests)
        nxi_tcp_conn_close(f->guests);
    nxi_tcp_unlisten(f);
    nxi_timer_unset(f->env->timers, &f->timer);
    nxi_timers_release(f->env->timers);
    empty_graves(f);
    free(f);
}

static const struct nxi_fabric_ops tcp_ops = {
    .name = "tcp",
    .addrs = tcp_addrs,
    .connect = nxi_tcp_connect,
    .send = nxi_tcp_send,
    .revoke = nxi_tcp_revoke,
    .flushed = nxi_tcp_flushed,
    .close = tcp_close,
    .poll = tcp_poll,
    .arm = tcp_arm,
    .wake = tcp_wake,
    .forked = tcp_forked,
    .free = tcp_free,
};

int nxi_tcp_open(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f)
{
    struct nxi_tcp *f = nxi_calloc(1, sizeof *f);
    if (!f)
        return nxi_fail(NXC_ENOMEM, "no memory for the tcp fabric");
    f->fabric.ops = &tcp_ops;
    f->env = env;
    int r = nxi_timers_reserve(env->timers);
    if (r < 0) {
        free(f);
        return r;
    }
    r = nxi_tcp_listen(f);
    if (r < 0) {
        tcp_free(&f->fabric);
        return r;
    }
    *ret_f = &f->fabric;
    return 0;
}
