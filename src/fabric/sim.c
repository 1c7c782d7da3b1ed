/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/sim.h"

#include "base/error.h"
#include "base/table.h"
#include "fabric/sim_world.h"

#include <stdarg.h>
#include <string.h>

#define OWNER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

void nxi_sim_trace(const struct nxi_sim *s, const char *format, ...)
{
    va_list args;
    fprintf(s->trace, "%12.3f us  ", (double)s->now / 1000);
    va_start(args, format);
    vfprintf(s->trace, format, args);
    va_end(args);
    fputc('\n', s->trace);
}

uint64_t nxi_sim_later(struct nxi_sim *s, uint64_t delay_max)
{
    /* Most delays are short, some are long: that is what reorders. */
    uint64_t max = nxi_rng_below(&s->rng, 4) ? delay_max / 16 : delay_max;
    return s->now + 1 + nxi_rng_below(&s->rng, max);
}

/* ---- wires --------------------------------------------------------------- */

static const struct nxi_sim_config *config_of(const struct nxi_sim_wire *w)
{
    static const struct nxi_sim_config none = { .chunk_max = 4096 };
    for (unsigned side = 0; side < 2; side++) {
        const struct nxi_sim_fabric *f = w->sim->nodes[w->nodes[side]].fabrics[w->plane];
        if (f)
            return &f->config;
    }
    return &none;
}

static bool is_cut(const struct nxi_sim_wire *w)
{
    return w->sim->cut[w->nodes[0]][w->nodes[1]];
}

void nxi_sim_flow_kick(struct nxi_sim_flow *f)
{
    struct nxi_sim_wire *w = f->wire;
    bool coming = f->pipe.len > f->pipe.arrived || (f->pipe.shut && !f->pipe.ended);
    if (coming && !f->arrive.index && !is_cut(w))
        nxi_timer_set(&w->sim->events, &f->arrive, nxi_sim_later(w->sim, config_of(w)->delay_max));
}

void nxi_sim_flow_taken(struct nxi_sim_flow *f)
{
    struct nxi_sim_wire *w = f->wire;
    if (!f->room.index && !is_cut(w))
        nxi_timer_set(&w->sim->events, &f->room, nxi_sim_later(w->sim, config_of(w)->delay_max));
}

static void chunk_arrives(struct nxi_timer *t, uint64_t now)
{
    struct nxi_sim_flow *f = OWNER(t, struct nxi_sim_flow, arrive);
    struct nxi_sim      *s = f->wire->sim;
    struct nxi_pipe     *p = &f->pipe;
    (void)now;
    size_t left = p->len - p->arrived;
    if (left) {
        size_t max = config_of(f->wire)->chunk_max;
        size_t n = 1 + nxi_rng_below(&s->rng, left < max ? left : max);
        /* Half of the time all that there is: small frames arrive whole as a rule. */
        if (left <= max && nxi_rng_below(&s->rng, 2))
            n = left;
        p->arrived += n;
        s->stats.chunks++;
    }
    if (p->shut && p->arrived == p->len && (!left || nxi_rng_below(&s->rng, 2)))
        p->ended = true;
    nxi_sim_wake(s, f->wire->nodes[!f->from]);
    nxi_sim_flow_kick(f);
}

static void room_again(struct nxi_timer *t, uint64_t now)
{
    struct nxi_sim_flow *f = OWNER(t, struct nxi_sim_flow, room);
    (void)now;
    nxi_sim_wake(f->wire->sim, f->wire->nodes[f->from]);
}

static void connect_arrives(struct nxi_timer *t, uint64_t now)
{
    struct nxi_sim_wire *w = OWNER(t, struct nxi_sim_wire, knock);
    (void)now;
    w->knocking = true; /* on a cut wire too: whoever looks asks is_cut first */
    if (is_cut(w))
        return;
    struct nxi_sim_node *node = &w->sim->nodes[w->nodes[1]];
    if (node->dead || !node->fabrics[w->plane]) {
        int8_t nobody = NXC_EUNREACH;
        w->knocking = false;
        nxi_pipe_put(&w->flows[1].pipe, &nobody, 1);
        nxi_pipe_shut(&w->flows[1].pipe, 1);
        nxi_sim_flow_kick(&w->flows[1]);
        return;
    }
    nxi_sim_wake(w->sim, w->nodes[1]);
}

struct nxi_sim_wire *nxi_sim_wire_new(struct nxi_sim *s, unsigned plane, unsigned from, unsigned to)
{
    struct nxi_sim_wire *w = nxi_calloc(1, sizeof *w);
    for (unsigned n = 0; w && n < 5; n++) {
        if (nxi_timers_reserve(&s->events) == 0)
            continue;
        while (n--)
            nxi_timers_release(&s->events);
        free(w);
        w = NULL;
        break;
    }
    if (!w)
        return NULL;
    w->sim = s;
    w->plane = plane;
    w->nodes[0] = from;
    w->nodes[1] = to;
    w->knock.fn = connect_arrives;
    for (unsigned side = 0; side < 2; side++) {
        w->flows[side].wire = w;
        w->flows[side].from = side;
        w->flows[side].arrive.fn = chunk_arrives;
        w->flows[side].room.fn = room_again;
    }
    DL_APPEND(s->wires, w);
    return w;
}

static void wire_free(struct nxi_sim_wire *w)
{
    struct nxi_sim *s = w->sim;
    for (unsigned side = 0; side < 2; side++) {
        nxi_timer_unset(&s->events, &w->flows[side].arrive);
        nxi_timer_unset(&s->events, &w->flows[side].room);
        nxi_pipe_free(&w->flows[side].pipe);
    }
    nxi_timer_unset(&s->events, &w->knock);
    for (unsigned n = 0; n < 5; n++)
        nxi_timers_release(&s->events);
    DL_DELETE(s->wires, w);
    free(w);
}

void nxi_sim_wire_leave(struct nxi_sim_wire *w, unsigned side)
{
    w->ends[side] = NULL;
    if (!w->ends[!side]) {
        wire_free(w);
        return;
    }
    struct nxi_sim_flow *in = &w->flows[!side];
    nxi_pipe_shut(&in->pipe, 0);
    nxi_pipe_skip(&in->pipe, in->pipe.arrived);
    in->pipe.ended = true;
    nxi_timer_unset(&w->sim->events, &in->arrive);
    nxi_sim_flow_taken(in); /* who waits for room finds that all vanishes */
    nxi_pipe_shut(&w->flows[side].pipe, SIZE_MAX);
    nxi_sim_flow_kick(&w->flows[side]);
}

/* ---- the world ----------------------------------------------------------- */

static void node_wakes(struct nxi_timer *t, uint64_t now)
{
    (void)now;
    OWNER(t, struct nxi_sim_node, wake)->due = true;
}

struct nxi_sim *nxi_sim_new(uint64_t seed, FILE *trace)
{
    struct nxi_sim *s = nxi_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->rng.state = seed;
    s->trace = trace;
    s->now = NXI_SEC; /* not 0: nothing may depend on that */
    for (unsigned i = 0; i < NXI_SIM_NODES; i++) {
        s->nodes[i].sim = s;
        s->nodes[i].wake.fn = node_wakes;
        if (nxi_timers_reserve(&s->events) < 0) {
            nxi_sim_free(s);
            return NULL;
        }
    }
    return s;
}

void nxi_sim_free(struct nxi_sim *s)
{
    if (!s)
        return;
    nxi_timers_free(&s->events);
    free(s);
}

uint64_t nxi_sim_now(const struct nxi_sim *s)
{
    return s->now;
}

uint64_t nxi_sim_next(const struct nxi_sim *s)
{
    return nxi_timers_next(&s->events);
}

void nxi_sim_run(struct nxi_sim *s, uint64_t now)
{
    if (now > s->now)
        s->now = now;
    nxi_timers_run(&s->events, s->now);
}

bool nxi_sim_due(struct nxi_sim *s, unsigned node)
{
    struct nxi_sim_node *n = &s->nodes[node];
    if (!n->due || n->dead || n->frozen)
        return false;
    n->due = false;
    return true;
}

void nxi_sim_wake(struct nxi_sim *s, unsigned node)
{
    struct nxi_sim_node *n = &s->nodes[node];
    if (n->due || n->dead || n->wake.index)
        return;
    uint64_t delay = 0;
    for (unsigned i = 0; i < NXI_SIM_PLANES; i++)
        if (n->fabrics[i] && n->fabrics[i]->config.delay_max > delay)
            delay = n->fabrics[i]->config.delay_max;
    /* Mostly at once; some time later otherwise, so that several things are found at one poll. */
    nxi_timer_set(&s->events, &n->wake, nxi_rng_below(&s->rng, 4) ? s->now + 1 : nxi_sim_later(s, delay));
}

const struct nxi_sim_stats *nxi_sim_stats(const struct nxi_sim *s)
{
    return &s->stats;
}

/* ---- faults -------------------------------------------------------------- */

void nxi_sim_kill(struct nxi_sim *s, unsigned node)
{
    struct nxi_sim_node *n = &s->nodes[node];
    NXI_SIM_TRACE(s, "node %u is killed", node);
    n->dead = true;
    nxi_timer_unset(&s->events, &n->wake);
    for (unsigned i = 0; i < NXI_SIM_PLANES; i++)
        if (n->fabrics[i])
            nxi_sim_fabric_killed(n->fabrics[i]);
    /* Who has knocked and was not let in finds nobody. */
    for (struct nxi_sim_wire *w = s->wires; w; w = w->next)
        if (w->nodes[1] == node && w->knocking)
            connect_arrives(&w->knock, s->now);
}

void nxi_sim_freeze(struct nxi_sim *s, unsigned node, bool frozen)
{
    NXI_SIM_TRACE(s, "node %u is %s", node, frozen ? "frozen" : "thawed");
    s->nodes[node].frozen = frozen;
    if (!frozen) {
        s->nodes[node].due = false; /* becomes due anew, some time later */
        nxi_sim_wake(s, node);
    }
}

void nxi_sim_cut(struct nxi_sim *s, unsigned a, unsigned b, bool cut)
{
    NXI_SIM_TRACE(s, "nodes %u and %u are %s", a, b, cut ? "cut off" : "joined again");
    s->cut[a][b] = s->cut[b][a] = cut;
    for (struct nxi_sim_wire *w = s->wires; w; w = w->next) {
        bool here = (w->nodes[0] == a && w->nodes[1] == b) || (w->nodes[0] == b && w->nodes[1] == a);
        for (unsigned side = 0; here && side < 2; side++) {
            if (cut) {
                nxi_timer_unset(&s->events, &w->flows[side].arrive);
            } else {
                nxi_sim_flow_kick(&w->flows[side]);
                nxi_sim_flow_taken(&w->flows[side]);
            }
        }
        if (here && !cut && w->knocking)
            connect_arrives(&w->knock, s->now);
    }
}

unsigned nxi_sim_drop(struct nxi_sim *s, unsigned a, unsigned b)
{
    unsigned n = 0;
    for (struct nxi_sim_wire *w = s->wires; w; w = w->next) {
        if (!(w->nodes[0] == a && w->nodes[1] == b) && !(w->nodes[0] == b && w->nodes[1] == a))
            continue;
        for (unsigned side = 0; side < 2; side++) {
            size_t coming = w->flows[side].pipe.len - w->flows[side].pipe.arrived;
            nxi_pipe_shut(&w->flows[side].pipe, nxi_rng_below(&s->rng, coming + 1));
            nxi_sim_flow_kick(&w->flows[side]);
            nxi_sim_flow_taken(&w->flows[side]);
        }
        NXI_SIM_TRACE(s, "the link from node %u to node %u breaks", w->nodes[0], w->nodes[1]);
        n++;
    }
    return n;
}
