/* SPDX-License-Identifier: Apache-2.0 */
/* Draws a schedule: the network, who offers what, who uses it, and what goes wrong. */
#include "tests/sim/player.h"

static uint64_t below(struct play *p, uint64_t n)
{
    return nxi_rng_below(&p->rng, n);
}

static bool chance(struct play *p, uint32_t in_1000)
{
    return nxi_rng_chance(&p->rng, in_1000);
}

static void draw_plane(struct play *p, unsigned plane)
{
    struct nxi_sim_config *c = &p->planes[plane];
    c->plane = plane;
    c->copies = chance(p, 500);
    c->eager_max = (size_t)64 << (2 * below(p, 4));
    c->piece_max = (size_t)256 << (2 * below(p, 4));
    /* A frame is a prefix, a header and a payload. */
    c->room = (c->copies && c->piece_max > c->eager_max ? c->piece_max : c->eager_max) + 8 + NXI_HEADER_MAX;
    c->room += below(p, 3) * below(p, c->room);
    c->chunk_max = (size_t)64 << below(p, 9);
    c->delay_max = NXI_US << below(p, 9);
    c->can_pull = (uint32_t)below(p, 3) * 500;
    c->pull_min = chance(p, 500) ? 0 : below(p, 2000);
    c->pull_max = chance(p, 500) ? UINT64_MAX : below(p, 20000);
    c->pull_most = p->slow_pulls ? 512 : 0;
    c->pull_fails = chance(p, 250) ? 300 : 0;
    if (p->connects_fail) {
        c->connect_refused = chance(p, 500) ? 400 : 0;
        c->connect_mistrusted = chance(p, 300) ? 300 : 0;
        c->connect_ignored = chance(p, 500) ? 400 : 0;
        c->connect_foreign = chance(p, 300) ? 300 : 0;
    }
}

static uint64_t draw_total(struct play *p)
{
    static const uint32_t sizes[] = { 0, 1, 8, 100, 100, 1000, 1000, 4096, 4096, 5000, 16384, 16384 };
    uint64_t total = sizes[below(p, sizeof sizes / sizeof *sizes)];
    if (total >= 100 && chance(p, 500))
        total = 1 + below(p, total);
    if (chance(p, 8) && !p->slow_pulls)
        total = 16384 + below(p, 300 << 10);
    /* Large ones in tiny chunks take long and show nothing new. */
    uint64_t most = p->planes[0].chunk_max * 64;
    if (p->n_planes > 1 && p->planes[1].chunk_max * 64 < most)
        most = p->planes[1].chunk_max * 64;
    return total < most ? total : most;
}

static void split(struct play *p, struct op *o)
{
    uint64_t left = o->total;
    for (size_t i = 0; i < o->n; i++) {
        o->lens[i] = i + 1 == o->n ? left : chance(p, 200) ? 0 : below(p, left + 1);
        left -= o->lens[i];
    }
}

static struct op *add_op(struct play *p, const struct op *like, unsigned node, const uint8_t *content)
{
    struct op *o = &p->ops[p->n_ops++];
    *o = *like;
    o->node = node;
    o->timeout = NXI_NEVER;
    o->source = o->active == (o->kind == NXC_WRITE);
    o->content = content + below(p, CONTENT_LEN - (320 << 10));
    split(p, o);
    return o;
}

void plan_add_act(struct play *p, struct act act)
{
    if (p->n_acts == MAX_ACTS)
        return;
    unsigned i = p->n_acts++;
    for (; i && p->acts[i - 1].at > act.at; i--)
        p->acts[i] = p->acts[i - 1];
    p->acts[i] = act;
}

/* Times at which something is likely to be under way. */
static uint64_t draw_time(struct play *p)
{
    return NXI_SEC + below(p, NXI_US * 4 << below(p, 12));
}

static void draw_user(struct play *p, struct op *o, uint64_t start)
{
    plan_add_act(p, (struct act){ .at = start, .kind = ACT_START, .op = o });
    uint64_t later = start + below(p, NXI_US * 4 << below(p, 11));
    if (chance(p, 120))
        plan_add_act(p, (struct act){ .at = later, .kind = ACT_CANCEL, .op = o });
    if (chance(p, 80))
        o->timeout = below(p, NXI_US * 4 << below(p, 12));
}

/* An active side for an offer, sound or with a flaw. */
static void draw_active(struct play *p, struct op *offer, uint64_t offered, enum flaw flaw, const uint8_t *content)
{
    struct op like = { .active = true, .kind = offer->kind, .offer = offer, .flaw = flaw, .total = offer->total,
                       .n = offer->n };
    if (flaw == FLAW_KIND)
        like.kind = like.kind == NXC_READ ? NXC_WRITE : NXC_READ;
    if (flaw == FLAW_SIZE)
        like.total += 1 + below(p, 8);
    struct op *o = add_op(p, &like, (unsigned)below(p, p->n_nodes), content);
    uint64_t   start = offered + 1 + below(p, NXI_US * 4 << below(p, chance(p, 300) ? 14 : 9));
    draw_user(p, o, start);
}

static void draw_ops(struct play *p, const uint8_t *content)
{
    unsigned pairs = 1 + (unsigned)(chance(p, 500) ? below(p, 3) : below(p, 8));
    for (unsigned i = 0; i < pairs && p->n_ops + 4 <= MAX_OPS; i++) {
        struct op like = { .kind = chance(p, 500) ? NXC_READ : NXC_WRITE, .n = 1 + below(p, MAX_DESCS),
                           .total = draw_total(p) };
        struct op *offer = add_op(p, &like, (unsigned)below(p, p->n_nodes), content);
        uint64_t   start = NXI_SEC + (chance(p, 600) ? below(p, 1000) : below(p, 400 * NXI_US));
        offer->offer = offer;
        draw_user(p, offer, start);
        if (chance(p, 120))
            draw_active(p, offer, start, (enum flaw)(1 + below(p, FLAWS - 1)), content);
        if (chance(p, 970))
            draw_active(p, offer, start, FLAWLESS, content);
        if (chance(p, 80)) /* a second user */
            draw_active(p, offer, start, FLAWLESS, content);
    }
}

/* Something that goes wrong with node a, or between it and another one. */
static struct act draw_fault(struct play *p, unsigned a, unsigned b)
{
    static const enum act_kind kinds[] = { ACT_KILL, ACT_FREEZE, ACT_CUT, ACT_DROP, ACT_STOP, ACT_STOP };
    return (struct act){ .kind = kinds[below(p, sizeof kinds / sizeof *kinds)], .a = a, .b = b };
}

static uint64_t draw_undone(struct play *p)
{
    return chance(p, 750) ? 1 + below(p, NXI_MS << below(p, 10)) : 0;
}

static void draw_fault_some_time(struct play *p)
{
    unsigned   a = (unsigned)below(p, p->n_nodes);
    struct act act = draw_fault(p, a, (unsigned)below(p, p->n_nodes));
    uint64_t   undone = draw_undone(p);
    act.at = draw_time(p);
    plan_add_act(p, act);
    plan_add_undoing(p, &act, undone);
}

void plan_add_undoing(struct play *p, const struct act *act, uint64_t after)
{
    struct act undoing = { .at = act->at + after, .a = act->a, .b = act->b };
    undoing.kind = act->kind == ACT_FREEZE ? ACT_THAW : ACT_JOIN;
    if (after && (act->kind == ACT_FREEZE || act->kind == ACT_CUT))
        plan_add_act(p, undoing);
}

static void draw_watch(struct play *p)
{
    struct op    *o = &p->ops[below(p, p->n_ops)];
    struct watch *w = &p->watches[p->n_watches++];
    *w = (struct watch){ .op = o, .undone = draw_undone(p) };
    w->delay = chance(p, 300) ? 0 : below(p, p->planes[0].delay_max);
    w->phase = (enum nxi_phase)(NXI_XFER_OFFERED + below(p, NXI_XFER_ENDED - NXI_XFER_OFFERED + 1));
    if (p->faults && w->phase == NXI_XFER_ENDED)
        w->act = (struct act){ .kind = ACT_STOP, .a = o->node };
    else if (p->faults && chance(p, 600))
        w->act = draw_fault(p, chance(p, 500) ? o->node : o->offer->node, o->node);
    else
        w->act = (struct act){ .kind = ACT_CANCEL, .op = chance(p, 500) ? o : o->offer };
}

void plan_draw(struct play *p, const uint8_t *content)
{
    p->rng.state = p->seed;
    p->n_nodes = 2 + (unsigned)below(p, MAX_NODES - 1);
    p->n_planes = 1 + chance(p, 250);
    p->connects_fail = chance(p, 80);
    p->memory_fails = chance(p, 100);
    p->slow_pulls = chance(p, 50);
    p->timers_first = chance(p, 300);
    p->faults = chance(p, 450);
    for (unsigned i = 0; i < p->n_planes; i++)
        draw_plane(p, i);
    for (unsigned i = 0; i < p->n_nodes; i++)
        p->keepalive_ms[i] = 60 + (uint32_t)below(p, 200);
    p->connect_ms = 50 + (uint32_t)below(p, 200);
    draw_ops(p, content);
    for (unsigned n = p->faults ? (unsigned)below(p, 3) : 0; n; n--)
        draw_fault_some_time(p);
    for (unsigned n = (unsigned)below(p, MAX_WATCHES + 1); n; n--)
        draw_watch(p);
}
