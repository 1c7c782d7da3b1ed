/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of nxconnect that no other contender has. */
#include "ours.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

/* ---- one operation from create to both ends, ticket over a Unix socket --- */
#define TICKET_MAX 4096

static void socket_put(struct bench_side *s, const void *data, size_t len)
{
    if (send(s->peer_fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
        bench_fail(s, "the ticket did not fit the socket");
}

static void socket_get(struct bench_side *s, void *data, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(s->peer_fd, (char *)data + got, len - got, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            bench_fail(s, "recv: %s", n ? strerror(errno) : "closed");
        if (n > 0)
            got += (size_t)n;
    }
}

/* A offers, and holds the clock until B's operation has ended too. */
static double whole_offer(struct bench_side *s, nxc_connector *c, uint64_t turn)
{
    unsigned char letter[sizeof(size_t) + TICKET_MAX];
    struct nxc_desc d = nxc_desc_host(s->in, sizeof turn);
    const char *json;
    size_t len;
    nxc_op *op;
    uint64_t start = nxi_now();
    ours_check(s, nxc_op_create_writable(c, &d, 1, NULL, &op), "create");
    ours_check(s, nxc_op_ticket(op, NXC_B64, &json, &len), "ticket");
    if (len > TICKET_MAX)
        bench_fail(s, "a ticket of %zu bytes", len);
    memcpy(letter, &len, sizeof len);
    memcpy(letter + sizeof len, json, len);
    socket_put(s, letter, sizeof len + len);
    ours_wait(s, op);
    while (atomic_load_explicit(&s->page->of[1].flag, memory_order_acquire) != turn)
        nxi_relax();
    double seconds = bench_seconds(nxi_now() - start);
    if (memcmp(s->in, &turn, sizeof turn) != 0)
        bench_fail(s, "the bytes of a whole operation did not arrive");
    nxc_op_free(op);
    return seconds;
}

static void whole_use(struct bench_side *s, nxc_connector *c, uint64_t turn)
{
    char json[TICKET_MAX];
    struct nxc_desc d = nxc_desc_host(s->out, sizeof turn);
    nxc_ticket *ticket;
    nxc_op *op;
    size_t len;
    memcpy(s->out, &turn, sizeof turn);
    socket_get(s, &len, sizeof len);
    socket_get(s, json, len);
    ours_check(s, nxc_ticket_parse(json, len, &ticket), "parse");
    ours_check(s, nxc_op_begin_write(c, ticket, &d, 1, NULL, &op), "begin_write");
    ours_wait(s, op);
    atomic_store_explicit(&s->page->of[1].flag, turn, memory_order_release);
    nxc_op_free(op);
    nxc_ticket_free(ticket);
}

double bench_ours_whole(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    static double seconds[BENCH_MAX_TURNS];
    nxc_connector *connector = ours_connector(s, c->fabric);
    (void)w;
    bench_touch(s, c->size);
    for (unsigned t = 0; t < c->turns; t++) {
        uint64_t turn = (s->seed << 32) + t + 1;
        bench_meet(s, NULL, NULL);
        if (s->me == 0)
            seconds[t] = whole_offer(s, connector, turn);
        else
            whole_use(s, connector, turn);
    }
    return s->me == 0 ? bench_median(seconds, c->turns) : 0;
}

/* ---- opening ------------------------------------------------------------ */
double bench_ours_open(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    double seconds[BENCH_MAX_TURNS];
    (void)w;
    if (s->me == 1)
        return 0;
    for (unsigned t = 0; t < c->turns; t++) {
        nxc_connector *connector;
        uint64_t start = nxi_now();
        ours_check(s, nxc_connector_new(NULL, &connector), "open");
        seconds[t] = bench_seconds(nxi_now() - start);
        nxc_connector_free(connector);
    }
    return bench_median(seconds, c->turns);
}

/* ---- ten thousand operations wait --------------------------------------- */
#define WAITING 10000
#define WATCH_SECONDS 2

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static double watch_cpu(void)
{
    struct timespec rest = { WATCH_SECONDS, 0 };
    double before = cpu_seconds();
    nanosleep(&rest, NULL);
    return (cpu_seconds() - before) / WATCH_SECONDS * 100;
}

/* Percent of a core or bytes of resident memory for each, by the case's job. */
double bench_ours_idle(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    static nxc_op *ops[WAITING];
    nxc_connector *connector;
    (void)w;
    if (s->me == 1)
        return 0;
    bench_touch(s, c->size);
    memset(ops, 0xff, sizeof ops); /* the array's own pages do not count */
    ours_check(s, nxc_connector_new(NULL, &connector), "open");
    uint64_t before = bench_resident_bytes();
    for (size_t i = 0; i < WAITING; i++) {
        struct nxc_desc d = nxc_desc_host(s->in, c->size);
        ours_check(s, nxc_op_create_writable(connector, &d, 1, NULL, &ops[i]), "create");
    }
    double result = c->job == BENCH_IDLE_CPU ? watch_cpu()
                                             : (double)(bench_resident_bytes() - before) / WAITING;
    nxc_connector_free(connector);
    for (size_t i = 0; i < WAITING; i++)
        nxc_op_free(ops[i]);
    return result;
}
