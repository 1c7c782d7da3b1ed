/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do at all, in loops without any library. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct floor {
    struct bench_mover base;
    int fd;                /* of a socket, not blocking */
    size_t chunk;          /* most bytes in one call */
    unsigned char *peer_out;
};

static struct floor *floor_of(struct bench_mover *m)
{
    return (struct floor *)m;
}

/* ---- one core copies ---------------------------------------------------- */
double bench_floor_memcpy(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    double seconds[BENCH_MAX_BATCHES];
    (void)w;
    bench_touch(s, c->size);
    if (s->me == 1)
        return 0;
    for (unsigned b = 0; b < c->batches; b++) {
        uint64_t start = nxi_now();
        for (unsigned t = 0; t < c->turns; t++) {
            memcpy(s->in, s->out, c->size);
            /* Else the compiler may leave out all copies but the last. */
            __asm__ volatile("" ::: "memory");
        }
        seconds[b] = bench_seconds(nxi_now() - start) / c->turns;
    }
    return bench_median(seconds, c->batches);
}

/* ---- process_vm_readv --------------------------------------------------- */
static void pull(struct bench_mover *m, unsigned turn)
{
    struct bench_side *s = m->side;
    struct iovec to = { bench_slot(s->in, m->size, turn), m->size };
    struct iovec from = { bench_slot(floor_of(m)->peer_out, m->size, turn), m->size };
    while (to.iov_len > 0) {
        ssize_t n = process_vm_readv(s->peer_pid, &to, 1, &from, 1, 0);
        if (n <= 0)
            bench_fail(s, "process_vm_readv: %s", strerror(errno));
        to = (struct iovec){ (char *)to.iov_base + n, to.iov_len - (size_t)n };
        from = (struct iovec){ (char *)from.iov_base + n, from.iov_len - (size_t)n };
    }
}

static void watch(struct bench_mover *m, unsigned turns)
{
    (void)turns;
    while (!bench_reads_over(m->side))
        nxi_relax();
}

double bench_floor_pull(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    struct floor f = { .base = { .side = s, .size = c->size, .fetch = pull, .serve = watch } };
    (void)w;
    bench_post(s, &s->out, sizeof s->out);
    bench_collect(s, &f.peer_out, sizeof f.peer_out);
    return bench_turns(&f.base, c);
}

/* ---- a flag in shared memory, 8 bytes of message ------------------------ */
static void raise_flag(struct bench_mover *m, unsigned turn)
{
    struct bench_side *s = m->side;
    uint64_t value;
    memcpy(&value, bench_slot(s->out, m->size, turn), sizeof value);
    atomic_store_explicit(&s->page->of[s->me].flag, value, memory_order_release);
}

static void see_flag(struct bench_mover *m, unsigned turn)
{
    struct bench_side *s = m->side;
    uint64_t value, before = 0;
    unsigned char *to = bench_slot(s->in, m->size, turn);
    if (turn > 0)
        memcpy(&before, bench_slot(s->in, m->size, turn - 1), sizeof before);
    while ((value = atomic_load_explicit(&s->page->of[!s->me].flag, memory_order_acquire)) == before)
        ;
    memcpy(to, &value, sizeof value);
}

static void lower_flags(struct bench_mover *m, unsigned turns)
{
    (void)turns;
    atomic_store(&m->side->page->of[m->side->me].flag, 0);
}

double bench_floor_flag(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    struct bench_mover m = {
        .side = s, .size = c->size, .prepare = lower_flags, .send = raise_flag, .arrive = see_flag,
    };
    (void)w;
    return bench_turns(&m, c);
}

/* ---- sockets, both sides polling ---------------------------------------- */
static void socket_send(struct floor *f, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = send(f->fd, at, len < f->chunk ? len : f->chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            bench_fail(f->base.side, "send: %s", strerror(errno));
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

static void socket_receive(struct floor *f, void *data, size_t len)
{
    char *at = data;
    while (len > 0) {
        ssize_t n = recv(f->fd, at, len < f->chunk ? len : f->chunk, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            bench_fail(f->base.side, "recv: %s", n ? strerror(errno) : "closed");
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

static void socket_write(struct bench_mover *m, unsigned turn)
{
    socket_send(floor_of(m), bench_slot(m->side->out, m->size, turn), m->size);
}

static void socket_arrive(struct bench_mover *m, unsigned turn)
{
    socket_receive(floor_of(m), bench_slot(m->side->in, m->size, turn), m->size);
}

static void socket_fetch(struct bench_mover *m, unsigned turn)
{
    static const uint64_t request;
    socket_send(floor_of(m), &request, sizeof request);
    socket_arrive(m, turn);
}

static void socket_serve(struct bench_mover *m, unsigned turns)
{
    for (unsigned t = 0; t < turns; t++) {
        uint64_t request;
        socket_receive(floor_of(m), &request, sizeof request);
        socket_write(m, t);
    }
}

/* A listens, B connects. */
static int tcp_connect(struct bench_side *s)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->me == 0) {
        if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 1) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &len) < 0)
            bench_fail(s, "listen: %s", strerror(errno));
        bench_post(s, &address, sizeof address);
        fd = accept(fd, NULL, NULL); /* the listener lives as long as the process */
    } else {
        bench_collect(s, &address, sizeof address);
        if (connect(fd, (struct sockaddr *)&address, len) < 0)
            bench_fail(s, "connect: %s", strerror(errno));
    }
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        bench_fail(s, "loopback: %s", strerror(errno));
    return fd;
}

double bench_floor_socket(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    static int tcp_fd = -1;
    if (c->fabric == BENCH_TCP && tcp_fd < 0)
        tcp_fd = tcp_connect(s);
    struct floor f = {
        .base = {
            .side = s,
            .size = c->size,
            .send = socket_write,
            .arrive = socket_arrive,
            .fetch = socket_fetch,
            .serve = socket_serve,
        },
        .fd = c->fabric == BENCH_TCP ? tcp_fd : s->peer_fd,
        .chunk = (size_t)w->how_much,
    };
    return bench_turns(&f.base, c);
}
