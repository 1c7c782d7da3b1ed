/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/table.h"
#include "fabric/sim_world.h"

#include <assert.h>
#include <string.h>

/* In the stream: one byte from each side for the greeting (0, or the code of a
 * refusal), then frames: u32 header length, u32 payload length, header, payload. */
enum { PREFIX = 8 };

enum state { CONNECTING, ACCEPTED, UP, GONE };

struct nxi_sim_link {
    struct nxi_link        link;
    struct nxi_sim_fabric *f;
    struct nxi_sim_wire   *wire; /* NULL: cut loose */
    unsigned               side;
    enum state             state;  /* GONE: freed by the next poll */
    bool                   broken; /* goes down at the next poll */
    struct nxi_timer       limit; /* of connecting */
    /* sending; the lent payload goes before the queue, which goes before new frames */
    bool              lending, sent_due; /* lending: a lent payload is under way */
    void             *token;             /* NULL: taken back */
    struct nxi_cursor lent;
    size_t            lent_left;
    uint8_t          *queue; /* replies that found no room */
    size_t            queued;
    size_t            wanted; /* room that a refused send asked for, 0: none */
    /* receiving */
    uint8_t  head[PREFIX + NXI_HEADER_MAX];
    size_t   head_have;
    uint64_t left;    /* bytes of payload still to come */
    uint64_t payload; /* of the frame under way */
    bool     kept;    /* that payload has a sink */

    struct nxi_sim_link *prev, *next;
};

static struct nxi_sim_link *sim_link(const struct nxi_link *l)
{
    return (struct nxi_sim_link *)l;
}

static struct nxi_sim_flow *out_flow(const struct nxi_sim_link *l)
{
    return &l->wire->flows[l->side];
}

/* This side goes on with what waits here some time later. */
static void go_on(struct nxi_sim_link *l)
{
    struct nxi_sim_flow *out = out_flow(l);
    if (!out->room.index)
        nxi_timer_set(&l->f->sim->events, &out->room, nxi_sim_later(l->f->sim, l->f->config.delay_max));
}

static size_t room_left(const struct nxi_sim_link *l)
{
    const struct nxi_pipe *p = &out_flow(l)->pipe;
    size_t                 room = l->f->config.room;
    return p->shut ? SIZE_MAX : p->len < room ? room - p->len : 0;
}

/* ---- the life of a link -------------------------------------------------- */

static struct nxi_sim_link *link_new(struct nxi_sim_fabric *f, struct nxi_sim_wire *wire, unsigned side)
{
    struct nxi_sim_link *l = nxi_calloc(1, sizeof *l);
    if (!l || nxi_timers_reserve(f->env->timers) < 0) {
        free(l);
        return NULL;
    }
    l->f = f;
    l->wire = wire;
    l->side = side;
    l->state = side == 0 ? CONNECTING : ACCEPTED;
    l->link.fabric = &f->fabric;
    l->link.opened_here = side == 0;
    l->link.copies = f->config.copies;
    l->link.eager_max = f->config.eager_max;
    l->link.piece_max = f->config.piece_max;
    l->link.pull_min = f->config.pull_min;
    l->link.pull_max = f->config.pull_max;
    l->link.can_pull = nxi_rng_chance(&f->sim->rng, f->config.can_pull);
    snprintf(l->link.name, sizeof l->link.name, "sim%u", f->config.plane);
    wire->ends[side] = l;
    DL_APPEND(f->links, l);
    return l;
}

/* Lets go of the wire. The struct lives until the fabric's next poll. */
static void let_go(struct nxi_sim_link *l)
{
    struct nxi_sim_wire *w = l->wire;
    l->state = GONE;
    l->wire = NULL;
    l->lending = l->sent_due = false;
    l->wanted = 0;
    nxi_timer_unset(l->f->env->timers, &l->limit);
    if (w)
        nxi_sim_wire_leave(w, l->side);
}

static void link_free(struct nxi_sim_link *l)
{
    if (l->wire)
        let_go(l);
    nxi_timers_release(l->f->env->timers);
    DL_DELETE(l->f->links, l);
    free(l->queue);
    free(l);
}

static void reap(struct nxi_sim_fabric *f)
{
    struct nxi_sim_link *l, *next;
    DL_FOREACH_SAFE(f->links, l, next)
    {
        if (l->state == GONE)
            link_free(l);
    }
}

/* The end that the dialect hears of. */
static void go_down(struct nxi_sim_link *l, int code, const char *text, uint64_t now)
{
    struct nxi_sim *s = l->f->sim;
    bool            known = l->state != ACCEPTED;
    NXI_SIM_TRACE(s, "node %u: link %p down, %s, %s", l->f->node, (void *)l, nxc_err_name(code), text);
    if (l->state == UP) {
        s->stats.hung_up++;
        s->stats.cut_short += l->head_have || l->left;
    } else if (l->state == CONNECTING) {
        s->stats.refused++;
    }
    let_go(l);
    if (known)
        l->f->fabric.events->down(l->f->fabric.arg, &l->link, code, text, now);
}

static void connect_too_long(struct nxi_timer *t, uint64_t now)
{
    struct nxi_sim_link *l = (struct nxi_sim_link *)((char *)t - offsetof(struct nxi_sim_link, limit));
    go_down(l, NXC_EUNREACH, "no greeting in time", now);
}

/* ---- greeting ------------------------------------------------------------ */

static int accept_one(struct nxi_sim_fabric *f, struct nxi_sim_wire *w)
{
    if (memcmp(w->instance, f->env->instance, NXI_INSTANCE_LEN) != 0 ||
        memcmp(w->link_key, f->env->link_key, NXI_LINK_KEY_LEN) != 0 ||
        nxi_rng_chance(&f->sim->rng, f->config.connect_mistrusted))
        return NXC_EACCESS;
    if (nxi_rng_chance(&f->sim->rng, f->config.connect_foreign))
        return NXC_ENOTSUP;
    if (nxi_rng_chance(&f->sim->rng, f->config.connect_refused))
        return NXC_EUNREACH;
    struct nxi_sim_link *l = link_new(f, w, 1), *opener = w->ends[0];
    if (!l)
        return NXC_EUNREACH;
    l->link.peer_can_pull = opener->link.can_pull;
    opener->link.peer_can_pull = l->link.can_pull;
    return 0;
}

/* Lets in who has knocked. */
static int accept_all(struct nxi_sim_fabric *f)
{
    int                  n = 0;
    struct nxi_sim_wire *w, *next;
    DL_FOREACH_SAFE(f->sim->wires, w, next)
    {
        if (!w->knocking || w->nodes[1] != f->node || w->plane != f->config.plane ||
            f->sim->cut[w->nodes[0]][w->nodes[1]])
            continue;
        w->knocking = false;
        int8_t code = (int8_t)accept_one(f, w);
        nxi_pipe_put(&w->flows[1].pipe, &code, 1);
        if (code < 0)
            nxi_pipe_shut(&w->flows[1].pipe, 1);
        nxi_sim_flow_kick(&w->flows[1]);
        n++;
    }
    return n;
}

/* The peer's byte of the greeting. */
static void greet(struct nxi_sim_link *l, uint64_t now)
{
    struct nxi_sim_fabric *f = l->f;
    struct nxi_pipe       *in = &l->wire->flows[!l->side].pipe;
    if (!in->arrived)
        return;
    int8_t code = (int8_t)*nxi_pipe_look(in);
    nxi_pipe_skip(in, 1);
    if (code < 0) {
        go_down(l, code, code == NXC_EACCESS ? "the link key was not proven" : nxc_err_text(code), now);
        return;
    }
    nxi_timer_unset(f->env->timers, &l->limit);
    if (l->state == CONNECTING) {
        nxi_pipe_put(&out_flow(l)->pipe, &code, 1);
        nxi_sim_flow_kick(out_flow(l));
        f->sim->stats.up++;
    }
    const struct nxi_sim_fabric *other = f->sim->nodes[l->wire->nodes[!l->side]].fabrics[f->config.plane];
    l->link.keepalive_ms = f->env->keepalive_ms;
    if (other && other->env->keepalive_ms < l->link.keepalive_ms)
        l->link.keepalive_ms = other->env->keepalive_ms;
    l->link.version = NXI_PROTOCOL;
    l->link.heard = l->link.said = now;
    l->state = UP;
    NXI_SIM_TRACE(f->sim, "node %u: link %p up, %s by node %u", f->node, (void *)l,
                  l->side == 0 ? "answered" : "opened", l->wire->nodes[!l->side]);
    f->fabric.events->up(f->fabric.arg, &l->link, now);
}

/* ---- sending ------------------------------------------------------------- */

/* Moves what waits here into the pipe, as far as there is room. A lent payload
 * moves by random amounts: between two of them anything may happen. */
static int push(struct nxi_sim_link *l, bool all)
{
    struct nxi_sim_flow *out = out_flow(l);
    size_t               n = room_left(l), moved = 0;
    if (l->lending) {
        n = l->lent_left < n ? l->lent_left : n;
        if (!all && n > 1 && nxi_rng_below(&l->f->sim->rng, 2))
            n = 1 + nxi_rng_below(&l->f->sim->rng, n);
        nxi_pipe_gather(&out->pipe, &l->lent, n);
        l->lent_left -= n;
        moved = n;
        if (!l->lent_left) {
            l->lending = false;
            l->sent_due = l->token != NULL;
        }
    }
    n = room_left(l);
    if (!l->lending && l->queued && n) {
        n = l->queued < n ? l->queued : n;
        nxi_pipe_put(&out->pipe, l->queue, n);
        l->queued -= n;
        memmove(l->queue, l->queue + n, l->queued);
        moved += n;
    }
    if (moved)
        nxi_sim_flow_kick(out);
    if ((l->lending || l->queued) && room_left(l))
        go_on(l);
    return moved > 0;
}

static int send_events(struct nxi_sim_link *l, uint64_t now)
{
    const struct nxi_fabric *f = &l->f->fabric;
    int                      moved = push(l, false);
    if (l->sent_due) {
        l->sent_due = false;
        l->f->sim->stats.sent++;
        NXI_SIM_TRACE(l->f->sim, "node %u: link %p sent %p", l->f->node, (void *)l, l->token);
        f->events->sent(f->arg, &l->link, l->token, now);
        moved++;
    }
    if (l->state == UP && l->wanted && !l->lending && !l->queued &&
        (room_left(l) >= l->wanted || nxi_rng_below(&l->f->sim->rng, 8) == 0)) {
        l->wanted = 0;
        l->f->sim->stats.writable++;
        f->events->writable(f->arg, &l->link, now);
        moved++;
    }
    return moved;
}

static int queue_reply(struct nxi_sim_link *l, const uint8_t *prefix, const struct nxi_frame *fr)
{
    size_t   len = PREFIX + fr->header_len + fr->payload_len;
    uint8_t *queue = nxi_realloc(l->queue, l->queued + len);
    if (!queue) {
        /* A reply that is lost would leave the peer waiting: better no link. */
        l->broken = true;
        nxi_sim_wake(l->f->sim, l->f->node);
        return NXC_EPEER;
    }
    uint8_t *at = queue + l->queued;
    memcpy(at, prefix, PREFIX);
    memcpy(at + PREFIX, fr->header, fr->header_len);
    if (fr->payload_len)
        nxi_cursor_read(fr->payload, at + PREFIX + fr->header_len, fr->payload_len);
    l->queue = queue;
    l->queued += len;
    l->f->sim->stats.queued_replies++;
    go_on(l);
    return 0;
}

static int send_lent(struct nxi_sim_link *l, const struct nxi_frame *fr)
{
    l->lent = *fr->payload;
    l->lent_left = fr->payload_len;
    l->token = fr->token;
    l->lending = true;
    l->f->sim->stats.lent++;
    nxi_cursor_skip(fr->payload, fr->payload_len);
    if (nxi_rng_below(&l->f->sim->rng, 2))
        push(l, false);
    else
        go_on(l);
    if (l->lending)
        return 0;
    l->sent_due = false;
    return 1;
}

static int sim_send(struct nxi_link *link, const struct nxi_frame *fr, enum nxi_send_mode mode, uint64_t now)
{
    struct nxi_sim_link *l = sim_link(link);
    if (!l->wire || l->state != UP || l->broken || l->wire->flows[!l->side].pipe.ended)
        return NXC_EPEER;
    struct nxi_sim_flow *out = out_flow(l);
    uint8_t              prefix[PREFIX];
    assert(fr->header_len >= 1 && fr->header_len <= NXI_HEADER_MAX);
    assert(fr->payload_len <= (mode == NXI_SEND_LEND ? link->piece_max : link->eager_max));
    nxi_put32(prefix, (uint32_t)fr->header_len);
    nxi_put32(prefix + 4, (uint32_t)fr->payload_len);
    bool   streamed = mode == NXI_SEND_LEND && !link->copies && fr->payload_len;
    size_t need = PREFIX + fr->header_len + (streamed ? 0 : fr->payload_len);
    bool   fits = !l->lending && !l->sent_due && !l->queued && need <= room_left(l);
    if (!fits && mode != NXI_SEND_REPLY) {
        l->f->sim->stats.again++;
        l->wanted = need;
        return NXC_EAGAIN;
    }
    l->f->sim->stats.frames++;
    NXI_SIM_TRACE(l->f->sim, "node %u: link %p sends %s, type %u, header %zu, payload %zu", l->f->node, (void *)l,
                  mode == NXI_SEND_WHOLE ? "whole" : mode == NXI_SEND_REPLY ? "reply" : "lent",
                  *(const uint8_t *)fr->header, fr->header_len, fr->payload_len);
    link->said = now;
    if (!fits)
        return queue_reply(l, prefix, fr);
    nxi_pipe_put(&out->pipe, prefix, PREFIX);
    nxi_pipe_put(&out->pipe, fr->header, fr->header_len);
    int r = mode == NXI_SEND_LEND;
    if (streamed)
        r = send_lent(l, fr);
    else if (fr->payload_len)
        nxi_pipe_gather(&out->pipe, fr->payload, fr->payload_len);
    nxi_sim_flow_kick(out);
    return r;
}

static void sim_revoke(struct nxi_link *link, void *token)
{
    struct nxi_sim_link *l = sim_link(link);
    if (l->token != token || (!l->lending && !l->sent_due))
        return;
    l->f->sim->stats.revoked += l->lent_left > 0;
    NXI_SIM_TRACE(l->f->sim, "node %u: link %p takes back %p, %zu bytes to go", l->f->node, (void *)l, token,
                  l->lent_left);
    l->token = NULL;
    l->sent_due = false;
    l->lent = (struct nxi_cursor){ 0 };
}

static bool sim_flushed(const struct nxi_link *link)
{
    const struct nxi_sim_link *l = sim_link(link);
    return !l->lending && !l->queued;
}

static void sim_close(struct nxi_link *link)
{
    struct nxi_sim_link *l = sim_link(link);
    NXI_SIM_TRACE(l->f->sim, "node %u: link %p is closed here", l->f->node, (void *)l);
    if (l->wire && l->state == UP)
        push(l, true);
    let_go(l);
}

/* ---- receiving ----------------------------------------------------------- */

/* The payload under way; true when its last byte has come. */
static bool take_payload(struct nxi_sim_link *l, struct nxi_pipe *in)
{
    size_t         n = in->arrived < l->left ? in->arrived : l->left;
    const uint8_t *at = nxi_pipe_look(in);
    l->kept |= l->link.sink.descs != NULL;
    if (l->kept && !l->link.sink.descs) {
        l->f->sim->stats.scrapped++;
        l->kept = false;
    }
    nxi_cursor_write(&l->link.sink, at, n);
    nxi_pipe_skip(in, n);
    l->left -= n;
    return l->left == 0;
}

/* Prefix and header; true when they are whole. */
static bool take_head(struct nxi_sim_link *l, struct nxi_pipe *in)
{
    while (in->arrived) {
        size_t need = l->head_have < PREFIX ? PREFIX : PREFIX + nxi_get32(l->head);
        size_t n = need - l->head_have < in->arrived ? need - l->head_have : in->arrived;
        memcpy(l->head + l->head_have, nxi_pipe_look(in), n);
        nxi_pipe_skip(in, n);
        l->head_have += n;
        if (l->head_have > PREFIX && l->head_have == need)
            return true;
    }
    return false;
}

static int take_in(struct nxi_sim_link *l, uint64_t now)
{
    const struct nxi_fabric *f = &l->f->fabric;
    struct nxi_pipe         *in = &l->wire->flows[!l->side].pipe;
    int                      moved = 0, r = 0;
    if (in->arrived) {
        const struct nxi_sim_link *peer = l->wire->ends[!l->side];
        l->link.heard = now;
        if (peer && (peer->lending || peer->queued || peer->wanted))
            nxi_sim_flow_taken(&l->wire->flows[!l->side]);
    }
    while (r == 0 && l->state == UP && in->arrived) {
        moved++;
        if (l->left) {
            if (take_payload(l, in))
                r = f->events->payload(f->arg, &l->link, now);
            continue;
        }
        if (!take_head(l, in))
            break;
        size_t header_len = l->head_have - PREFIX;
        l->head_have = 0;
        l->left = nxi_get32(l->head + 4);
        l->kept = false;
        l->link.sink = (struct nxi_cursor){ 0 };
        r = f->events->header(f->arg, &l->link, l->head + PREFIX, header_len, l->left, now);
    }
    if (r < 0 && l->state == UP)
        go_down(l, r, "the peer broke the protocol", now);
    return moved;
}

static int64_t sim_pull(struct nxi_link *link, const struct iovec *from, size_t n, struct nxi_cursor *to)
{
    struct nxi_sim_link *l = sim_link(link);
    struct nxi_sim      *s = l->f->sim;
    s->stats.pulls++;
    if (!l->wire || !l->wire->ends[!l->side] || s->nodes[l->wire->nodes[!l->side]].dead) {
        s->stats.pulls_failed++;
        return NXC_EPEER;
    }
    if (!link->can_pull || nxi_rng_chance(&s->rng, l->f->config.pull_fails)) {
        s->stats.pulls_failed++;
        return NXC_EACCESS;
    }
    size_t sum = 0, most = l->f->config.pull_most ? l->f->config.pull_most : SIZE_MAX;
    if (most == SIZE_MAX && nxi_rng_below(&s->rng, 4) == 0)
        most = 1 + nxi_rng_below(&s->rng, from[0].iov_len + 100); /* the kernel may stop early */
    for (size_t i = 0; i < n && sum < most; i++) {
        size_t part = from[i].iov_len < most - sum ? from[i].iov_len : most - sum;
        nxi_cursor_write(to, from[i].iov_base, part);
        sum += part;
    }
    NXI_SIM_TRACE(s, "node %u: link %p pulls %zu bytes", l->f->node, (void *)l, sum);
    return (int64_t)sum;
}

/* ---- the fabric ---------------------------------------------------------- */

static int drive_link(struct nxi_sim_link *l, uint64_t now)
{
    int moved = 0;
    if (l->state == CONNECTING || l->state == ACCEPTED) {
        greet(l, now);
        moved += l->state == UP || l->state == GONE;
    }
    if (l->state == UP)
        moved += send_events(l, now);
    if (l->state == UP)
        moved += take_in(l, now);
    if (l->state != GONE) {
        const struct nxi_pipe *in = &l->wire->flows[!l->side].pipe;
        if (l->broken || (in->ended && !in->arrived)) {
            const char *why = l->broken ? "no memory for a reply" : "the peer hung up";
            go_down(l, l->state == UP ? NXC_EPEER : NXC_EUNREACH, why, now);
            moved++;
        }
    }
    return moved;
}

static int sim_poll(struct nxi_fabric *fabric, uint64_t now)
{
    struct nxi_sim_fabric *f = (struct nxi_sim_fabric *)fabric;
    reap(f);
    int moved = accept_all(f);
    for (struct nxi_sim_link *l = f->links; l; l = l->next)
        if (l->state != GONE)
            moved += drive_link(l, now);
    return moved;
}

static int sim_addrs(struct nxi_fabric *fabric, struct nxi_entry *e)
{
    const struct nxi_sim_fabric *f = (struct nxi_sim_fabric *)fabric;
    if (e->n == NXI_ENTRY_ADDRS)
        return NXC_ELIMIT;
    struct nxi_addr *a = &e->addrs[e->n++];
    *a = (struct nxi_addr){ .tag = NXI_ADDR_SIM, .len = 4 };
    nxi_put16(a->bytes, (uint16_t)f->node);
    nxi_put16(a->bytes + 2, (uint16_t)f->config.plane);
    return 0;
}

static int sim_connect(struct nxi_fabric *fabric, const struct nxi_entry *to, void *owner, uint64_t now,
                       struct nxi_link **ret_l)
{
    struct nxi_sim_fabric *f = (struct nxi_sim_fabric *)fabric;
    struct nxi_sim        *s = f->sim;
    size_t                 i = 0;
    while (i < to->n && !(to->addrs[i].tag == NXI_ADDR_SIM && to->addrs[i].len == 4 &&
                          nxi_get16(to->addrs[i].bytes) < NXI_SIM_NODES &&
                          nxi_get16(to->addrs[i].bytes + 2) == f->config.plane))
        i++;
    if (i == to->n || s->nodes[f->node].dead)
        return nxi_fail(NXC_EUNREACH, "the ticket has no address of this fabric");
    struct nxi_sim_wire *w = nxi_sim_wire_new(s, f->config.plane, f->node, nxi_get16(to->addrs[i].bytes));
    struct nxi_sim_link *l = w ? link_new(f, w, 0) : NULL;
    if (!l) {
        if (w)
            nxi_sim_wire_leave(w, 0);
        return nxi_fail(NXC_ENOMEM, "no memory for a link");
    }
    memcpy(w->instance, to->instance, NXI_INSTANCE_LEN);
    memcpy(w->link_key, to->link_key, NXI_LINK_KEY_LEN);
    l->link.owner = owner;
    l->limit.fn = connect_too_long;
    nxi_timer_set(f->env->timers, &l->limit, nxi_after(now, f->env->connect_ms * NXI_MS));
    if (!nxi_rng_chance(&s->rng, f->config.connect_ignored))
        nxi_timer_set(&s->events, &w->knock, nxi_sim_later(s, f->config.delay_max));
    NXI_SIM_TRACE(s, "node %u: link %p connects to node %u", f->node, (void *)l, w->nodes[1]);
    *ret_l = &l->link;
    return 0;
}

static bool sim_arm(struct nxi_fabric *f)
{
    (void)f;
    return false;
}

static void sim_nothing(struct nxi_fabric *f)
{
    (void)f;
}

static void sim_free(struct nxi_fabric *fabric)
{
    struct nxi_sim_fabric *f = (struct nxi_sim_fabric *)fabric;
    while (f->links) {
        if (f->links->state != GONE)
            sim_close(&f->links->link);
        link_free(f->links);
    }
    f->sim->nodes[f->node].fabrics[f->config.plane] = NULL;
    /* Who has knocked meanwhile finds nobody. */
    for (struct nxi_sim_wire *w = f->sim->wires; w; w = w->next)
        if (w->knocking && w->nodes[1] == f->node && w->plane == f->config.plane)
            w->knock.fn(&w->knock, f->sim->now);
    free(f);
}

void nxi_sim_fabric_killed(struct nxi_sim_fabric *f)
{
    for (struct nxi_sim_link *l = f->links; l; l = l->next) {
        if (!l->wire)
            continue;
        struct nxi_pipe *out = &out_flow(l)->pipe;
        /* A kernel sends what it has, unless the host dies too. */
        size_t coming = out->len - out->arrived;
        bool   host = nxi_rng_below(&f->sim->rng, 2);
        nxi_pipe_shut(out, host ? nxi_rng_below(&f->sim->rng, coming + 1) : coming);
        struct nxi_sim_wire *w = l->wire;
        l->wire = NULL;
        nxi_sim_wire_leave(w, l->side);
    }
}

int nxi_sim_open(struct nxi_sim *s, unsigned node, const struct nxi_sim_config *config,
                 const struct nxi_fabric_env *env, struct nxi_fabric **ret_f)
{
    static const struct nxi_fabric_ops ops = {
        .name = "sim",
        .addrs = sim_addrs,
        .connect = sim_connect,
        .send = sim_send,
        .revoke = sim_revoke,
        .pull = sim_pull,
        .flushed = sim_flushed,
        .close = sim_close,
        .poll = sim_poll,
        .arm = sim_arm,
        .wake = sim_nothing,
        .forked = sim_nothing,
        .free = sim_free,
    };
    struct nxi_sim_fabric *f = nxi_calloc(1, sizeof *f);
    if (!f)
        return nxi_fail(NXC_ENOMEM, "no memory for a fabric");
    f->fabric.ops = &ops;
    f->sim = s;
    f->node = node;
    f->config = *config;
    f->env = env;
    s->nodes[node].fabrics[config->plane] = f;
    *ret_f = &f->fabric;
    return 0;
}
