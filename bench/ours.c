/* SPDX-License-Identifier: Apache-2.0 */
#include "ours.h"

#include <stdio.h>
#include <string.h>

uint32_t bench_ours_spin_us;
static nxc_connector *connectors[BENCH_TCP + 1];

struct ours_mover {
    struct bench_mover base;
    nxc_connector *connector;
    int reads;
    nxc_op *offered[BENCH_MAX_TURNS];
    nxc_op *begun[BENCH_MAX_TURNS];
    nxc_ticket *tickets[BENCH_MAX_TURNS];
};

static struct ours_mover *ours(struct bench_mover *m)
{
    return (struct ours_mover *)m;
}

void ours_check(struct bench_side *s, int r, const char *what)
{
    if (r < 0)
        bench_fail(s, "nxconnect: %s: %s: %s", what, nxc_err_name(r), nxc_err_detail());
}

void ours_wait(struct bench_side *s, nxc_op *op)
{
    int r = nxc_op_wait(op, OURS_WAIT_MS);
    const char *text = "";
    if (r == 0)
        return;
    nxc_op_error(op, &text);
    bench_fail(s, "nxconnect: wait: %s: %s", nxc_err_name(r), text);
}

nxc_connector *ours_connector(struct bench_side *s, enum bench_fabric fabric)
{
    struct nxc_connector_opts opts = NXC_CONNECTOR_OPTS_INIT;
    opts.transports = opts.require = fabric == BENCH_SHM ? "shm" : "tcp";
    opts.spin_us = bench_ours_spin_us;
    if (fabric == BENCH_TCP)
        opts.listen = "127.0.0.1";
    if (!connectors[fabric])
        ours_check(s, nxc_connector_new(&opts, &connectors[fabric]), "open");
    return connectors[fabric];
}

void bench_ours_close(void)
{
    for (size_t i = 0; i < sizeof connectors / sizeof connectors[0]; i++) {
        nxc_connector_free(connectors[i]);
        connectors[i] = NULL;
    }
}

/* ---- before a batch: operations and tickets ----------------------------- */
static unsigned char letters[BENCH_BOX_SIZE]; /* tickets, each behind its length */

static void offer_all(struct ours_mover *m, unsigned turns)
{
    struct bench_side *s = m->base.side;
    size_t used = 0;
    for (unsigned t = 0; t < turns; t++) {
        unsigned char *base = m->reads ? s->out : s->in;
        struct nxc_desc d = nxc_desc_host(bench_slot(base, m->base.size, t), m->base.size);
        const char *json;
        size_t len;
        int r = m->reads ? nxc_op_create_readable(m->connector, &d, 1, NULL, &m->offered[t])
                         : nxc_op_create_writable(m->connector, &d, 1, NULL, &m->offered[t]);
        ours_check(s, r, "create");
        ours_check(s, nxc_op_ticket(m->offered[t], NXC_B64, &json, &len), "ticket");
        if (used + sizeof len + len > sizeof letters)
            bench_fail(s, "the tickets of one batch are longer than %zu bytes", sizeof letters);
        memcpy(letters + used, &len, sizeof len);
        memcpy(letters + used + sizeof len, json, len);
        used += sizeof len + len;
    }
    bench_post(s, letters, used);
}

static void parse_all(struct ours_mover *m, unsigned turns)
{
    struct bench_side *s = m->base.side;
    const unsigned char *at = letters;
    bench_collect(s, letters, sizeof letters);
    for (unsigned t = 0; t < turns; t++) {
        size_t len;
        memcpy(&len, at, sizeof len);
        ours_check(s, nxc_ticket_parse((const char *)at + sizeof len, len, &m->tickets[t]), "parse");
        at += sizeof len + len;
    }
}

static void prepare(struct bench_mover *base, unsigned turns)
{
    struct ours_mover *m = ours(base);
    if (!m->reads || base->side->me == 1)
        offer_all(m, turns);
    if (!m->reads || base->side->me == 0)
        parse_all(m, turns);
}

static void finish(struct bench_mover *base, unsigned turns)
{
    struct ours_mover *m = ours(base);
    struct bench_side *s = base->side;
    for (unsigned t = 0; t < turns; t++) {
        if (m->begun[t]) {
            ours_wait(s, m->begun[t]);
            const char *transport = nxc_op_transport(m->begun[t]);
            snprintf(s->note, sizeof s->note, "%s", transport ? transport : "?");
        }
        nxc_op_free(m->begun[t]);
        nxc_op_free(m->offered[t]);
        nxc_ticket_free(m->tickets[t]);
        m->begun[t] = m->offered[t] = NULL;
        m->tickets[t] = NULL;
    }
}

/* ---- what is timed ------------------------------------------------------ */
static void send_one(struct bench_mover *base, unsigned turn)
{
    struct ours_mover *m = ours(base);
    struct bench_side *s = base->side;
    struct nxc_desc d = nxc_desc_host(bench_slot(s->out, base->size, turn), base->size);
    int r = nxc_op_begin_write(m->connector, m->tickets[turn], &d, 1, NULL, &m->begun[turn]);
    ours_check(s, r, "begin_write");
}

static void arrive(struct bench_mover *base, unsigned turn)
{
    ours_wait(base->side, ours(base)->offered[turn]);
}

/* Small sources have a slot for every turn and need not come back in between. */
static void settle(struct bench_mover *base, unsigned turn)
{
    if (base->size > BENCH_SMALL)
        ours_wait(base->side, ours(base)->begun[turn]);
}

static void fetch(struct bench_mover *base, unsigned turn)
{
    struct ours_mover *m = ours(base);
    struct bench_side *s = base->side;
    struct nxc_desc d = nxc_desc_host(bench_slot(s->in, base->size, turn), base->size);
    int r = nxc_op_begin_read(m->connector, m->tickets[turn], &d, 1, NULL, &m->begun[turn]);
    ours_check(s, r, "begin_read");
    ours_wait(s, m->begun[turn]);
}

static void serve(struct bench_mover *base, unsigned turns)
{
    for (unsigned t = 0; t < turns; t++)
        arrive(base, t);
}

double bench_ours_move(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    static struct ours_mover m;
    (void)w;
    m = (struct ours_mover){
        .base = {
            .side = s,
            .size = c->size,
            .prepare = prepare,
            .finish = finish,
            .send = send_one,
            .arrive = arrive,
            .settle = settle,
            .fetch = fetch,
            .serve = serve,
        },
        .connector = ours_connector(s, c->fabric),
        .reads = c->job == BENCH_READ,
    };
    return bench_turns(&m.base, c);
}

/* Everything counts: create, tickets and their way, parse, begin, wait, free. */
double bench_ours_churn(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    uint64_t start = nxi_now();
    bench_ours_move(s, w, c);
    /* Each turn is one operation of each side. */
    return bench_seconds(nxi_now() - start) / (2.0 * c->batches * c->turns);
}
