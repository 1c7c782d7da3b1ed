/* SPDX-License-Identifier: Apache-2.0 */
/* The judge: what must hold at the end of each side, and of all. */
#include "tests/sim/player.h"

#include <stdarg.h>
#include <string.h>

void promise_broken(const struct play *p, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "seed %llu: promise broken: ", (unsigned long long)p->seed);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nplay it again with --seed %llu --trace\n", (unsigned long long)p->seed);
    exit(1);
}

static unsigned number(const struct play *p, const struct op *o)
{
    return (unsigned)(o - p->ops);
}

/* ---- memory -------------------------------------------------------------- */

static bool filled(const uint8_t *at, size_t len, uint8_t value)
{
    return len == 0 || (at[0] == value && memcmp(at, at + 1, len - 1) == 0);
}

bool promise_content(const struct op *o, const uint8_t *content)
{
    const uint8_t *at = o->arena + GUARD;
    for (size_t i = 0; i < o->n; at += o->lens[i++] + GUARD) {
        if (memcmp(at, content, o->lens[i]) != 0)
            return false;
        content += o->lens[i];
    }
    return true;
}

static bool guards_hold(const struct op *o)
{
    const uint8_t *at = o->arena;
    for (size_t i = 0; i < o->n; at += GUARD + o->lens[i++])
        if (!filled(at, GUARD, UNTOUCHED))
            return false;
    return filled(at, GUARD, UNTOUCHED);
}

/* ---- ends of one side ---------------------------------------------------- */

static bool is(const struct op *o, enum nxc_status status)
{
    return o->ends && o->status == status;
}

static bool told(const struct op *o)
{
    return o->ends && (strstr(o->text, "by the peer") || strstr(o->text, "the peer's limit"));
}

/* Ended by its own user's cancel or its own deadline. */
static bool own(const struct op *o)
{
    return (is(o, NXC_CANCELLED) || (is(o, NXC_ERRORED) && o->error == NXC_ETIMEDOUT)) && !told(o);
}

/* A source that has voted and has not heard: its receiver may be complete. */
static bool unknown(const struct op *o)
{
    return o->source && is(o, NXC_ERRORED) && (o->error == NXC_EPEER || o->error == NXC_ETIMEDOUT) &&
           strstr(o->text, "may have all bytes");
}

static bool partners(const struct op *a, const struct op *b)
{
    return a->active != b->active && a->offer == b->offer && !a->flaw && !b->flaw;
}

/* Calls fn for each other side that o could have to do with, until one says yes. */
static bool any_partner(const struct play *p, const struct op *o,
                        bool (*fn)(const struct op *o, const struct op *other))
{
    for (unsigned i = 0; i < p->n_ops; i++)
        if (p->ops[i].started && partners(o, &p->ops[i]) && fn(o, &p->ops[i]))
            return true;
    return false;
}

static bool sent_it(const struct op *o, const struct op *source)
{
    return promise_content(o, source->content);
}

static bool is_complete(const struct op *o, const struct op *other)
{
    (void)o;
    return is(other, NXC_COMPLETE);
}

static bool has_cancelled(const struct op *o, const struct op *other)
{
    (void)o;
    return other->cancel_asked;
}

static bool has_timed_out(const struct op *o, const struct op *other)
{
    return other->deadline <= o->ended_at;
}

/* Something other than users' cancels and deadlines happened to one of the two. */
static bool disturbed_pair(const struct play *p, const struct op *a, const struct op *b)
{
    const struct node *na = &p->nodes[a->node], *nb = &p->nodes[b->node];
    return p->connects_fail || na->dead || nb->dead || na->was_frozen || nb->was_frozen || na->stopping ||
           nb->stopping || na->refused_memory || nb->refused_memory || p->parted[a->node][b->node];
}

static bool disturbed(const struct play *p, const struct op *o)
{
    if (o->active)
        return disturbed_pair(p, o, o->offer);
    for (unsigned i = 0; i < p->n_ops; i++)
        if (p->ops[i].active && p->ops[i].offer == o && disturbed_pair(p, o, &p->ops[i]))
            return true;
    return false;
}

/* Whether something happened that may end o with this code. */
static bool has_cause(const struct play *p, const struct op *o)
{
    const struct op *offer = o->offer;
    switch (o->error) {
    case NXC_ECANCELLED:
        return told(o) ? any_partner(p, o, has_cancelled) : o->cancel_asked || p->nodes[o->node].stopping;
    case NXC_ETIMEDOUT:
        return told(o) ? any_partner(p, o, has_timed_out) : o->deadline <= o->ended_at;
    case NXC_EACCESS:
        return o->active && (o->flaw || offer->ends || offer->begun || p->connects_fail || disturbed(p, o));
    case NXC_EKIND:
        return o->flaw == FLAW_KIND;
    case NXC_ESIZE:
        return o->flaw == FLAW_SIZE;
    case NXC_ENOMEM:
        return p->memory_fails;
    case NXC_EUNREACH:
        return o->active && disturbed(p, o);
    case NXC_EPEER:
        return disturbed(p, o);
    }
    return false;
}

static void count_end(const struct op *o)
{
    if (o->status == NXC_COMPLETE)
        tally.complete++;
    else if (o->status == NXC_CANCELLED)
        tally.cancelled++;
    else
        tally.errored[-o->error]++;
    tally.by_peer += told(o);
    tally.bytes += o->status == NXC_COMPLETE && !o->source ? o->total : 0;
    tally.lost_races += o->error == NXC_EACCESS && !o->flaw && o->offer->begun;
}

void promise_on_end(struct play *p, struct op *o)
{
    unsigned i = number(p, o);
    PROMISE(p, guards_hold(o), "op %u: bytes beside its descriptors were written", i);
    if (o->status == NXC_COMPLETE) {
        PROMISE(p, o->error == 0 && !*o->text, "op %u is complete with an error", i);
        PROMISE(p, !o->flaw, "op %u is complete with a flawed ticket", i);
        if (o->source)
            PROMISE(p, any_partner(p, o, is_complete), "source %u is complete and no receiver is", i);
        else
            PROMISE(p, any_partner(p, o, sent_it), "op %u is complete with wrong bytes", i);
    } else {
        PROMISE(p, (o->status == NXC_CANCELLED) == (o->error == NXC_ECANCELLED) && o->error < 0 && o->error > -32,
                "op %u ends with status %d and %s", i, o->status, nxc_err_name(o->error));
        PROMISE(p, o->status == NXC_CANCELLED || o->status == NXC_ERRORED, "op %u ends with status %d", i, o->status);
        PROMISE(p, *o->text, "op %u: no text says why", i);
        PROMISE(p, has_cause(p, o), "op %u ends with %s (%s) without cause", i, nxc_err_name(o->error), o->text);
    }
    if (o->source)
        PROMISE(p, promise_content(o, o->content), "the memory of source %u was written", i);
    else if (o->active ? o->flaw || o->error == NXC_EACCESS || o->error == NXC_EUNREACH : !o->begun)
        PROMISE(p, filled(o->arena, o->arena_len, UNTOUCHED), "op %u was refused or not begun, yet written", i);
    count_end(o);
}

/* ---- both sides ---------------------------------------------------------- */

/* Can these two ends be those of one operation? */
static bool agree(const struct op *a, const struct op *b)
{
    const struct op *source = a->source ? a : b, *receiver = a->source ? b : a;
    if (is(source, NXC_COMPLETE))
        return is(receiver, NXC_COMPLETE);
    return !is(receiver, NXC_COMPLETE) || !source->ends || unknown(source);
}

static void judge_offer(struct play *p, const struct op *offer)
{
    unsigned complete = 0, agreeing = 0, all = 0;
    for (unsigned i = 0; i < p->n_ops; i++) {
        const struct op *o = &p->ops[i];
        if (!o->started || !partners(offer, o))
            continue;
        all++;
        complete += is(o, NXC_COMPLETE);
        agreeing += agree(offer, o);
        PROMISE(p, !is(o, NXC_COMPLETE) || agree(offer, o), "op %u ends with status %d, %s; op %u is complete",
                number(p, offer), offer->status, nxc_err_name(offer->error), i);
        bool receiver_knows = is(offer, NXC_COMPLETE) && !offer->source;
        tally.unknown += receiver_knows && unknown(o);
    }
    PROMISE(p, complete <= 1, "op %u was used by %u others", number(p, offer), complete);
    PROMISE(p, !is(offer, NXC_COMPLETE) || agreeing, "op %u is complete, none of the %u others agrees",
            number(p, offer), all);
}

/* The table of promise 4, where nothing but users' acts happened and one has used the offer. */
static bool in_table(const struct op *offer, const struct op *o)
{
    const struct op *source = offer->source ? offer : o, *receiver = offer->source ? o : offer;
    if (is(offer, NXC_COMPLETE) || is(o, NXC_COMPLETE))
        return is(receiver, NXC_COMPLETE) && (is(source, NXC_COMPLETE) || (own(source) && unknown(source)));
    if (own(offer) && own(o))
        return true;
    if ((own(offer) && told(o)) || (told(offer) && own(o)))
        return offer->error == o->error && offer->status == o->status;
    return o->error == NXC_EACCESS && !offer->begun && own(offer) && offer->ended_at <= o->ended_at;
}

static void judge_pair(struct play *p, const struct op *offer, const struct op *o)
{
    unsigned i = number(p, offer), j = number(p, o);
    tally.undisturbed++;
    if (o->flaw) {
        int code = o->flaw == FLAW_KIND ? NXC_EKIND : o->flaw == FLAW_SIZE ? NXC_ESIZE : NXC_EACCESS;
        PROMISE(p, own(o) || o->error == code || (o->error == NXC_EACCESS && (offer->begun || offer->ends)),
                "op %u has flaw %d and ends with %s", j, o->flaw, nxc_err_name(o->error));
        return;
    }
    PROMISE(p, in_table(offer, o), "ops %u and %u end with %d %s (%s) and %d %s (%s)", i, j, offer->status,
            nxc_err_name(offer->error), offer->text, o->status, nxc_err_name(o->error), o->text);
    uint64_t first = offer->ended_at < o->ended_at ? offer->ended_at : o->ended_at;
    uint64_t between = offer->ended_at + o->ended_at - 2 * first;
    PROMISE(p, !offer->begun || between < 50 * NXI_MS, "ops %u and %u end %llu us from each other", i, j,
            (unsigned long long)(between / 1000));
}

/* Who loses its peer learns it: of a death from the socket, of silence after
 * keepalive_ms. Not judged where a cut holds back what was sent long ago. */
static void judge_lost(struct play *p, const struct op *o, const struct op *other)
{
    const struct node *n = &p->nodes[o->node], *gone = &p->nodes[other->node];
    if (!gone->lost_at || n->lost_at || n->was_frozen || !o->ends || (!o->active && !o->begun) ||
        p->parted[o->node][other->node])
        return;
    uint32_t keepalive = n->env.keepalive_ms < gone->env.keepalive_ms ? n->env.keepalive_ms : gone->env.keepalive_ms;
    uint64_t from = o->active ? o->started_at : o->begun_at, since = gone->lost_at > from ? gone->lost_at : from;
    uint64_t limit = since + (keepalive + p->connect_ms + 50) * NXI_MS;
    if (gone->dead && !p->connects_fail && !gone->was_frozen)
        limit = since + 50 * NXI_MS;
    tally.lost_peers++;
    PROMISE(p, o->ended_at <= limit, "op %u ends %llu us after its peer was lost", number(p, o),
            (unsigned long long)(o->ended_at - since) / 1000);
}

/* A connector that was freed has said its last words: no doubt is left behind. */
static void judge_last_words(struct play *p, const struct op *offer, const struct op *o)
{
    const struct op   *source = offer->source ? offer : o, *receiver = offer->source ? o : offer;
    const struct node *from = &p->nodes[source->node], *to = &p->nodes[receiver->node];
    if (!to->stopping || to->gave_up || to->was_frozen || to->dead || to->refused_memory || from->stopping ||
        from->was_frozen || from->dead || from->refused_memory || p->parted[source->node][receiver->node])
        return;
    tally.last_words++;
    if (is(receiver, NXC_COMPLETE))
        PROMISE(p, is(source, NXC_COMPLETE) || own(source), "op %u is complete, op %u ends with %s",
                number(p, receiver), number(p, source), nxc_err_name(source->error));
    else if (receiver->begun && own(receiver) && !receiver->cancel_asked && receiver->error == NXC_ECANCELLED)
        PROMISE(p, own(source) || source->error == NXC_EPEER, "op %u was freed, op %u ends with %s",
                number(p, receiver), number(p, source), nxc_err_name(source->error));
}

static void judge_pairs(struct play *p, const struct op *offer)
{
    unsigned users = 0;
    for (unsigned i = 0; i < p->n_ops; i++)
        users += p->ops[i].started && partners(offer, &p->ops[i]);
    for (unsigned i = 0; i < p->n_ops; i++) {
        const struct op *o = &p->ops[i];
        if (!o->active || !o->started || o->offer != offer)
            continue;
        if (users == 1 && !o->flaw) {
            judge_lost(p, o, offer);
            judge_lost(p, offer, o);
            judge_last_words(p, offer, o);
        }
        if (disturbed_pair(p, offer, o))
            continue;
        if (o->flaw || users == 1)
            judge_pair(p, offer, o);
    }
}

/* ---- the whole ----------------------------------------------------------- */

static bool runs(const struct node *n)
{
    return n->native && !n->dead && !n->frozen;
}

void promise_settled(struct play *p)
{
    for (unsigned i = 0; i < p->n_nodes; i++)
        PROMISE(p, !runs(&p->nodes[i]) || !p->nodes[i].stopping, "node %u was not freed in time", i);
    for (unsigned i = 0; i < p->n_ops; i++) {
        const struct op *o = &p->ops[i];
        if (o->started && !o->ends && runs(&p->nodes[o->node]))
            PROMISE(p, !o->active && !o->begun, "op %u has no end, its phase is %d", i, o->x.phase);
    }
}

void promise_at_last(struct play *p)
{
    for (unsigned i = 0; i < p->n_nodes; i++) {
        const struct node *n = &p->nodes[i];
        if (!runs(n))
            continue;
        PROMISE(p, n->links == 0, "node %u still has %llu links", i, (unsigned long long)n->links);
        PROMISE(p, nxi_native_unfinished(n->native) == 0, "node %u has transfers", i);
        PROMISE(p, n->timers.n == 0, "node %u has %zu timers set", i, p->nodes[i].timers.n);
    }
    for (unsigned i = 0; i < p->n_ops; i++) {
        struct op *o = &p->ops[i];
        if (!o->started)
            continue;
        tally.ops++;
        tally.flaws[o->flaw]++;
        if (o->ends) {
            PROMISE(p, filled(o->arena, o->arena_len, o->source ? GARBAGE : RETURNED),
                    "the memory of op %u was written after its end", i);
            PROMISE(p, filled((const uint8_t *)&o->x, sizeof o->x, POISON), "op %u was touched after its end", i);
        }
        if (!o->active) {
            judge_offer(p, o);
            judge_pairs(p, o);
        }
    }
}
