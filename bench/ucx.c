/* SPDX-License-Identifier: Apache-2.0 */
/* UCX used directly, in each of the ways that a careful program would. */
#include "ucx.h"

#include "ucx_link.h"

struct ucx_mover {
    struct bench_mover base;
    struct ucx_link *link;
    enum ucx_how how;
    ucs_status_ptr_t sending; /* the last send, while it may still run */
};

static struct ucx_mover *ucx(struct bench_mover *m)
{
    return (struct ucx_mover *)m;
}

static ucs_status_ptr_t send_message(struct ucx_link *l, enum ucx_how how, const void *from)
{
    ucp_request_param_t param = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
        .flags = how == UCX_RENDEZVOUS ? UCP_AM_SEND_FLAG_RNDV : UCP_AM_SEND_FLAG_EAGER,
    };
    if (how == UCX_HEADER)
        return ucp_am_send_nbx(l->ep, UCX_DATA, from, l->size, NULL, 0, &param);
    return ucp_am_send_nbx(l->ep, UCX_DATA, NULL, 0, from, l->size, &param);
}

static ucs_status_ptr_t send_note(struct ucx_link *l, enum ucx_message id)
{
    static const uint64_t note;
    ucp_request_param_t param = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
        .flags = UCP_AM_SEND_FLAG_EAGER,
    };
    return ucp_am_send_nbx(l->ep, id, &note, sizeof note, NULL, 0, &param);
}

/* ---- writes ------------------------------------------------------------- */
static void prepare(struct bench_mover *m, unsigned turns)
{
    (void)turns;
    ucx(m)->link->arrived = 0;
    ucx(m)->link->requested = 0;
}

static void settle(struct bench_mover *m, unsigned turn)
{
    (void)turn;
    if (!ucx(m)->sending)
        return;
    ucx_link_finish(ucx(m)->link, ucx(m)->sending, "send");
    ucx(m)->sending = NULL;
}

static void finish(struct bench_mover *m, unsigned turns)
{
    settle(m, turns);
}

static void send_one(struct bench_mover *m, unsigned turn)
{
    struct ucx_link *l = ucx(m)->link;
    ucx(m)->sending = send_message(l, ucx(m)->how, bench_slot(m->side->out, m->size, turn));
}

static void put_one(struct bench_mover *m, unsigned turn)
{
    struct ucx_link *l = ucx(m)->link;
    unsigned char *from = bench_slot(m->side->out, m->size, turn);
    uint64_t to = l->peer_in_address + (uint64_t)(from - m->side->out);
    ucp_request_param_t none = { 0 };
    ucs_status_ptr_t put = ucp_put_nbx(l->ep, from, m->size, to, l->peer_in, &none);
    ucx_link_finish(l, ucp_ep_flush_nbx(l->ep, &none), "flush");
    ucx_link_finish(l, put, "put");
    ucx(m)->sending = send_note(l, UCX_NOTICE);
}

static void arrive(struct bench_mover *m, unsigned turn)
{
    struct ucx_link *l = ucx(m)->link;
    while (l->arrived <= turn)
        ucp_worker_progress(l->worker);
}

/* ---- reads -------------------------------------------------------------- */
static void get_one(struct bench_mover *m, unsigned turn)
{
    struct ucx_link *l = ucx(m)->link;
    unsigned char *to = bench_slot(m->side->in, m->size, turn);
    uint64_t from = l->peer_out_address + (uint64_t)(to - m->side->in);
    ucp_request_param_t none = { 0 };
    ucx_link_finish(l, ucp_get_nbx(l->ep, to, m->size, from, l->peer_out, &none), "get");
}

static void request_one(struct bench_mover *m, unsigned turn)
{
    struct ucx_link *l = ucx(m)->link;
    ucx_link_finish(l, send_note(l, UCX_REQUEST), "send");
    arrive(m, turn);
}

static void serve(struct bench_mover *m, unsigned turns)
{
    struct ucx_link *l = ucx(m)->link;
    unsigned served = 0;
    (void)turns;
    while (!bench_reads_over(m->side)) {
        ucp_worker_progress(l->worker);
        if (served == l->requested)
            continue;
        settle(m, served);
        send_one(m, served++);
    }
}

static void idle(void *m)
{
    ucp_worker_progress(ucx(m)->link->worker);
}

double bench_ucx_move(struct bench_side *s, const struct bench_way *w, const struct bench_case *c)
{
    struct ucx_mover mover = {
        .base = {
            .side = s,
            .size = c->size,
            .prepare = prepare,
            .finish = finish,
            .send = w->how == UCX_PUT ? put_one : send_one,
            .arrive = arrive,
            .settle = settle,
            .fetch = w->how == UCX_GET ? get_one : request_one,
            .serve = serve,
            .idle = idle,
        },
        .link = ucx_link_get(s, (enum ucx_settings)w->how_much),
        .how = (enum ucx_how)w->how,
    };
    mover.link->size = c->size;
    return bench_turns(&mover.base, c);
}
