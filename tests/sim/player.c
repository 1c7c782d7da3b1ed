/* SPDX-License-Identifier: Apache-2.0 */
/* Plays one schedule: does the acts when it is time for them and drives the nodes. */
#include "tests/sim/player.h"

#include "base/mem.h"

#include <stdarg.h>
#include <string.h>

void play_say(const struct play *p, const char *format, ...)
{
    va_list args;
    fprintf(p->trace, "%12.3f us  ", (double)nxi_sim_now(p->sim) / 1000);
    va_start(args, format);
    vfprintf(p->trace, format, args);
    va_end(args);
    fputc('\n', p->trace);
}

static unsigned number(const struct play *p, const struct op *o)
{
    return (unsigned)(o - p->ops);
}

/* Calls into a node go between these two: now and then memory is refused. */
static void enter(struct play *p, struct node *n)
{
    /* What the ops' phases were before whatever this call brings. */
    for (unsigned i = 0; i < p->n_ops; i++)
        if (p->ops[i].started && !p->ops[i].ends)
            p->ops[i].phase = p->ops[i].x.phase;
    if (p->memory_fails && nxi_rng_chance(&p->rng, 30)) {
        n->refused_memory = true;
        nxi_mem_fail(1 + (unsigned)nxi_rng_below(&p->rng, 6), nxi_rng_chance(&p->rng, 300));
    }
}

static void leave(struct play *p, struct node *n)
{
    nxi_mem_fail(0, false);
    nxi_sim_wake(p->sim, (unsigned)(n - p->nodes));
}

/* ---- memory of operations ------------------------------------------------ */

/* The whole arena is one byte's value; each descriptor of a source gets content. */
static void lay_out(struct play *p, struct op *o)
{
    size_t at = GUARD;
    o->arena_len = o->total + GUARD * (o->n + 1);
    o->arena = p->pool + p->pool_used;
    p->pool_used += o->arena_len;
    memset(o->arena, UNTOUCHED, o->arena_len);
    const uint8_t *content = o->content;
    for (size_t i = 0; i < o->n; i++) {
        o->descs[i] = nxc_desc_host(o->arena + at, o->lens[i]);
        if (o->source)
            memcpy(o->arena + at, content, o->lens[i]);
        content += o->lens[i];
        at += o->lens[i] + GUARD;
    }
}

/* ---- calls from below ---------------------------------------------------- */

static void on_begun(void *arg, struct nxi_xfer *x)
{
    struct play *p = arg;
    struct op   *o = (struct op *)((char *)x - offsetof(struct op, x));
    SAY(p, "op %u is begun", number(p, o));
    PROMISE(p, !o->active && o->started && !o->ends && !o->begun, "op %u is begun a second time", number(p, o));
    o->begun = true;
    o->begun_at = nxi_sim_now(p->sim);
}

static void on_ended(void *arg, struct nxi_xfer *x, enum nxc_status status, int error, const char *text)
{
    struct play *p = arg;
    struct op   *o = (struct op *)((char *)x - offsetof(struct op, x));
    if (o->torn)
        return; /* of a process that is dead: nobody looks any more */
    o->ends++;
    PROMISE(p, o->started && o->ends == 1, "op %u ends %u times", number(p, o), o->ends);
    o->status = status;
    o->error = error;
    o->ended_at = nxi_sim_now(p->sim);
    snprintf(o->text, sizeof o->text, "%s", text);
    SAY(p, "op %u ends: status %d, %s, \"%s\"", number(p, o), status, nxc_err_name(error), text);
    promise_on_end(p, o);
    /* The memory is the owner's again. */
    memset(o->arena, o->source ? GARBAGE : RETURNED, o->arena_len);
    memset(&o->x, POISON, sizeof o->x);
    memset(o->descs, POISON, sizeof o->descs);
}

/* ---- nodes --------------------------------------------------------------- */

static void node_open(struct play *p, unsigned number_of)
{
    struct node *n = &p->nodes[number_of];
    n->env = (struct nxi_fabric_env){ .epfd = -1, .timers = &n->timers, .keepalive_ms = p->keepalive_ms[number_of],
                                      .connect_ms = p->connect_ms };
    memset(n->env.instance, 0x10 + (int)number_of, NXI_INSTANCE_LEN);
    memset(n->env.link_key, 0x20 + (int)number_of, NXI_LINK_KEY_LEN);
    n->entry = (struct nxi_entry){ .version = NXI_PROTOCOL, .version_min = NXI_PROTOCOL_MIN };
    memcpy(n->entry.instance, n->env.instance, NXI_INSTANCE_LEN);
    memcpy(n->entry.link_key, n->env.link_key, NXI_LINK_KEY_LEN);
    struct nxi_native_config config = { .timers = &n->timers, .n_fabrics = p->n_planes, .connect_ms = p->connect_ms,
                                        .turn_bytes = 4096, .links = &n->links, .arg = p, .begun = on_begun,
                                        .ended = on_ended };
    for (unsigned i = 0; i < p->n_planes; i++) {
        if (nxi_sim_open(p->sim, number_of, &p->planes[i], &n->env, &n->fabrics[i]) < 0)
            promise_broken(p, "out of memory");
        n->fabrics[i]->ops->addrs(n->fabrics[i], &n->entry);
        config.fabrics[i] = n->fabrics[i];
    }
    if (nxi_native_new(&config, &n->native) < 0)
        promise_broken(p, "out of memory");
}

static void node_free(struct play *p, struct node *n)
{
    if (!n->native)
        return;
    for (unsigned i = 0; i < p->n_ops; i++)
        if (p->ops[i].node == (unsigned)(n - p->nodes) && n->dead)
            p->ops[i].torn = true;
    nxi_native_free(n->native);
    n->native = NULL;
    for (unsigned i = 0; i < p->n_planes; i++)
        n->fabrics[i]->ops->free(n->fabrics[i]);
    PROMISE(p, n->timers.n == 0 && n->timers.reserved == 0, "%zu timers and room for %zu are left",
            n->timers.n, n->timers.reserved);
    nxi_timers_free(&n->timers);
    for (unsigned i = 0; i < p->n_ops; i++) {
        const struct op *o = &p->ops[i];
        PROMISE(p, o->node != (unsigned)(n - p->nodes) || !o->started || o->ends || o->torn,
                "op %u has no end after its connector was freed", i);
    }
}

/* A stopped connector goes when nothing is left to wait for, or its time is over. */
static void node_stopping(struct play *p, struct node *n)
{
    uint64_t now = nxi_sim_now(p->sim), limit = n->stopped_at + n->env.keepalive_ms * NXI_MS;
    bool     done = nxi_native_stopped(n->native);
    if (!done && now < limit)
        return;
    SAY(p, "node %u goes, %s", (unsigned)(n - p->nodes), done ? "nothing left to wait for" : "after keepalive_ms");
    tally.stops_waited += now > n->stopped_at;
    n->gave_up = !done;
    enter(p, n);
    node_free(p, n);
    nxi_mem_fail(0, false);
}

static int run_timers(struct play *p, struct node *n)
{
    return (int)nxi_timers_run(&n->timers, nxi_sim_now(p->sim));
}

static void node_drive(struct play *p, unsigned number_of)
{
    struct node *n = &p->nodes[number_of];
    uint64_t     now = nxi_sim_now(p->sim);
    enter(p, n);
    if (p->timers_first)
        run_timers(p, n);
    for (unsigned i = 0; i < p->n_planes; i++)
        n->fabrics[i]->ops->poll(n->fabrics[i], now);
    if (!p->timers_first)
        run_timers(p, n);
    if (now >= n->next_turn) {
        nxi_native_poll(n->native, now);
        n->next_turn = 0;
    }
    nxi_mem_fail(0, false);
    if (nxi_native_busy(n->native) && !p->slow_pulls)
        nxi_sim_wake(p->sim, number_of);
    else if (nxi_native_busy(n->native) && !n->next_turn) /* long pulls, of which the peer hears nothing */
        n->next_turn = now + 1 + nxi_rng_below(&p->rng, 40 * NXI_MS);
    if (n->stopping)
        node_stopping(p, n);
}

static bool runs(const struct node *n)
{
    return n->native && !n->dead && !n->frozen;
}

/* ---- acts ---------------------------------------------------------------- */

static void start(struct play *p, struct op *o)
{
    struct node *n = &p->nodes[o->node];
    lay_out(p, o);
    o->deadline = o->timeout == NXI_NEVER ? NXI_NEVER : nxi_sim_now(p->sim) + o->timeout;
    o->x = (struct nxi_xfer){ .kind = o->kind, .active = o->active, .id = ++n->ids, .descs = o->descs, .n = o->n,
                              .total = o->total, .deadline = o->deadline };
    struct nxi_entry to = p->nodes[o->offer->node].entry;
    if (!o->active) {
        o->x.key.op = o->x.id;
        for (size_t i = 0; i < NXI_SECRET_LEN; i++)
            o->x.key.secret[i] = (uint8_t)nxi_rng_next(&p->rng);
        memcpy(&p->keys[number(p, o)], &o->x.key, sizeof o->x.key);
    } else {
        o->x.key = p->keys[number(p, o->offer)];
        if (o->flaw == FLAW_FORGED)
            o->x.key.secret[nxi_rng_below(&p->rng, NXI_SECRET_LEN)] ^= 1 << nxi_rng_below(&p->rng, 8);
        else if (o->flaw == FLAW_UNKNOWN)
            o->x.key.op += 1000;
        o->x.to = &to;
    }
    SAY(p, "op %u starts on node %u: %s %s of %llu bytes, flaw %d, offer %u", number(p, o), o->node,
        o->active ? "active" : "passive", o->kind == NXC_READ ? "read" : "write", (unsigned long long)o->total,
        o->flaw, number(p, o->offer));
    o->started = true;
    o->started_at = nxi_sim_now(p->sim);
    enter(p, n);
    nxi_native_start(n->native, &o->x, nxi_sim_now(p->sim));
    leave(p, n);
    memset(&to, POISON, sizeof to);
}

static void cancel(struct play *p, struct op *o)
{
    struct node *n = &p->nodes[o->node];
    bool         voted = nxi_xfer_voted(&o->x);
    SAY(p, "op %u is cancelled here", number(p, o));
    o->cancel_asked = true;
    enter(p, n);
    nxi_native_cancel(n->native, &o->x, nxi_sim_now(p->sim));
    leave(p, n);
    tally.cancelled_voted += voted;
    PROMISE(p, voted || o->ends == 1, "op %u has not ended by its cancel", number(p, o));
}

static void stop(struct play *p, struct node *n)
{
    n->stopping = true;
    n->stopped_at = nxi_sim_now(p->sim);
    SAY(p, "node %u is freed", (unsigned)(n - p->nodes));
    enter(p, n);
    nxi_native_stop(n->native, n->stopped_at);
    leave(p, n);
    node_stopping(p, n);
}

static void change_world(struct play *p, const struct act *a)
{
    struct node *n = &p->nodes[a->a];
    switch (a->kind) {
    case ACT_KILL:
        n->dead = true;
        n->lost_at = a->at;
        nxi_sim_kill(p->sim, a->a);
        break;
    case ACT_FREEZE:
        n->frozen = n->was_frozen = true;
        n->lost_at = a->at;
        nxi_sim_freeze(p->sim, a->a, true);
        break;
    case ACT_THAW:
        n->frozen = false;
        n->lost_at = 0;
        nxi_sim_freeze(p->sim, a->a, false);
        break;
    case ACT_CUT:
    case ACT_JOIN:
        p->parted[a->a][a->b] = p->parted[a->b][a->a] = true;
        nxi_sim_cut(p->sim, a->a, a->b, a->kind == ACT_CUT);
        break;
    default:
        p->parted[a->a][a->b] = p->parted[a->b][a->a] = true;
        nxi_sim_drop(p->sim, a->a, a->b);
    }
}

static void act(struct play *p, const struct act *a)
{
    struct op   *o = a->op;
    struct node *n = &p->nodes[o ? o->node : a->a];
    if (n->dead || !n->native)
        return;
    if (a->kind == ACT_START || a->kind == ACT_CANCEL || a->kind == ACT_STOP) {
        /* A frozen process and one that frees its connector call nothing. */
        if (n->frozen || n->stopping)
            return;
        if (a->kind == ACT_START && (!o->active || o->offer->started))
            start(p, o);
        else if (a->kind == ACT_CANCEL && o->started && !o->ends)
            cancel(p, o);
        else if (a->kind == ACT_STOP)
            stop(p, n);
        else
            return;
    } else {
        if ((a->kind == ACT_THAW && !n->frozen) || (a->kind == ACT_FREEZE && n->stopping))
            return;
        change_world(p, a);
    }
    tally.acts[a->kind]++;
}

/* ---- the play ------------------------------------------------------------ */

static uint64_t next_time(const struct play *p)
{
    uint64_t at = nxi_sim_next(p->sim);
    if (p->acted < p->n_acts && p->acts[p->acted].at < at)
        at = p->acts[p->acted].at;
    for (unsigned i = 0; i < p->n_nodes; i++) {
        const struct node *n = &p->nodes[i];
        if (!runs(n))
            continue;
        uint64_t timer = nxi_timers_next(&n->timers);
        if (n->stopping && n->stopped_at + n->env.keepalive_ms * NXI_MS < timer)
            timer = n->stopped_at + n->env.keepalive_ms * NXI_MS;
        if (timer < at)
            at = timer;
        if (n->next_turn && n->next_turn < at)
            at = n->next_turn;
    }
    return at;
}

static void look_at_watches(struct play *p)
{
    for (unsigned i = 0; i < p->n_watches; i++) {
        struct watch *w = &p->watches[i];
        if (w->fired || !w->op->started || (w->op->ends ? NXI_XFER_ENDED : w->op->x.phase) != w->phase)
            continue;
        w->fired = true;
        w->act.at = nxi_sim_now(p->sim) + w->delay;
        plan_add_act(p, w->act);
        plan_add_undoing(p, &w->act, w->undone);
    }
}

static void run_until(struct play *p, uint64_t limit)
{
    uint64_t at;
    for (unsigned turns = 0; (at = next_time(p)) <= limit; turns++) {
        PROMISE(p, turns < 1000000, "this goes on for ever");
        nxi_sim_run(p->sim, at);
        while (p->acted < p->n_acts && p->acts[p->acted].at <= nxi_sim_now(p->sim))
            act(p, &p->acts[p->acted++]);
        for (unsigned i = 0; i < p->n_nodes; i++) {
            struct node *n = &p->nodes[i];
            bool due = nxi_sim_due(p->sim, i);
            if (!runs(n))
                continue;
            bool over = n->stopping && nxi_sim_now(p->sim) >= n->stopped_at + n->env.keepalive_ms * NXI_MS;
            bool turn = n->next_turn && n->next_turn <= nxi_sim_now(p->sim);
            if (due || over || turn || nxi_timers_next(&n->timers) <= nxi_sim_now(p->sim))
                node_drive(p, i);
        }
        look_at_watches(p);
    }
    nxi_sim_run(p->sim, limit);
}

static void add_stats(const struct nxi_sim_stats *s)
{
    const uint64_t *from = (const uint64_t *)s;
    uint64_t       *to = (uint64_t *)&tally.sim;
    for (size_t i = 0; i < sizeof *s / sizeof *from; i++)
        to[i] += from[i];
}

void play_run(struct play *p)
{
    p->sim = nxi_sim_new(p->seed, p->trace);
    for (unsigned i = 0; i < p->n_nodes; i++)
        node_open(p, i);
    /* Every limit is over 3 s after the last act: of connects, silence and deadlines. */
    for (uint64_t last = 0; last != p->acts[p->n_acts - 1].at;) {
        last = p->acts[p->n_acts - 1].at;
        run_until(p, last + 3 * NXI_SEC);
    }
    promise_settled(p);
    /* Offers that nobody has begun have no end but this one. */
    for (unsigned i = 0; i < p->n_ops; i++) {
        struct op *o = &p->ops[i];
        if (o->started && !o->ends && runs(&p->nodes[o->node])) {
            cancel(p, o);
            o->phase = NXI_XFER_OFFERED;
        }
    }
    /* Links that nobody uses go. */
    run_until(p, nxi_sim_now(p->sim) + 100 * NXI_SEC);
    promise_at_last(p);
    for (unsigned i = 0; i < p->n_nodes; i++) {
        struct node *n = &p->nodes[i];
        n->dead |= n->frozen; /* as good as dead: it never comes back */
        node_free(p, n);
    }
    add_stats(nxi_sim_stats(p->sim));
    nxi_sim_free(p->sim);
}
