/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timers.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"

int nxi_timers_reserve(struct nxi_timers *ts)
{
    if (ts->reserved == ts->cap) {
        size_t             cap = ts->cap ? ts->cap * 2 : 32;
        struct nxi_timer **heap = nxi_realloc(ts->heap, cap * sizeof *heap);
        if (!heap)
            return nxi_fail(NXC_ENOMEM, "no memory for a timer");
        ts->heap = heap;
        ts->cap = cap;
    }
    ts->reserved++;
    return 0;
}

void nxi_timers_release(struct nxi_timers *ts)
{
    ts->reserved--;
}

void nxi_timers_free(struct nxi_timers *ts)
{
    free(ts->heap);
    *ts = (struct nxi_timers){ 0 };
}

static void put(struct nxi_timers *ts, size_t i, struct nxi_timer *t)
{
    ts->heap[i] = t;
    t->index = i + 1;
}

static void sift_up(struct nxi_timers *ts, size_t i, struct nxi_timer *t)
{
    while (i > 0 && ts->heap[(i - 1) / 2]->at > t->at) {
        put(ts, i, ts->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(ts, i, t);
}

static void sift_down(struct nxi_timers *ts, size_t i, struct nxi_timer *t)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= ts->n)
            break;
        if (child + 1 < ts->n && ts->heap[child + 1]->at < ts->heap[child]->at)
            child++;
        if (ts->heap[child]->at >= t->at)
            break;
        put(ts, i, ts->heap[child]);
        i = child;
    }
    put(ts, i, t);
}

void nxi_timer_unset(struct nxi_timers *ts, struct nxi_timer *t)
{
    if (!t->index)
        return;
    size_t i = t->index - 1;
    t->index = 0;
    struct nxi_timer *last = ts->heap[--ts->n];
    if (last == t)
        return;
    if (i > 0 && ts->heap[(i - 1) / 2]->at > last->at)
        sift_up(ts, i, last);
    else
        sift_down(ts, i, last);
}

void nxi_timer_set(struct nxi_timers *ts, struct nxi_timer *t, uint64_t at)
{
    nxi_timer_unset(ts, t);
    if (at == NXI_NEVER)
        return;
    t->at = at;
    sift_up(ts, ts->n++, t);
}

uint64_t nxi_timers_next(const struct nxi_timers *ts)
{
    return ts->n ? ts->heap[0]->at : NXI_NEVER;
}

size_t nxi_timers_run(struct nxi_timers *ts, uint64_t now)
{
    size_t ran = 0;
    while (ts->n && ts->heap[0]->at <= now) {
        struct nxi_timer *t = ts->heap[0];
        nxi_timer_unset(ts, t);
        t->fn(t, now);
        ran++;
    }
    return ran;
}
