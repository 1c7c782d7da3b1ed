/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_TIMERS_H
#define NXI_BASE_TIMERS_H
/* One binary heap of timers. No clock of its own: the caller says what time it
 * is. Used by one thread at a time. */
#include <stddef.h>
#include <stdint.h>

struct nxi_timer {
    void (*fn)(struct nxi_timer *t, uint64_t now); /* set once, by the owner */
    uint64_t at;    /* ns; private */
    size_t   index; /* place in the heap + 1, 0 while not set; private */
};

struct nxi_timers {
    struct nxi_timer **heap;
    size_t             n, cap, reserved;
};

/* Makes room for one more timer that may be set, so that nxi_timer_set() can't
 * fail. Each timer's owner reserves it at birth and releases it at its end. */
int  nxi_timers_reserve(struct nxi_timers *ts);  /* 0 or NXC_ENOMEM */
void nxi_timers_release(struct nxi_timers *ts);
void nxi_timers_free(struct nxi_timers *ts);

/* Sets or moves t. at NXI_NEVER unsets it. */
void nxi_timer_set(struct nxi_timers *ts, struct nxi_timer *t, uint64_t at);
void nxi_timer_unset(struct nxi_timers *ts, struct nxi_timer *t);

/* When the next one is due, NXI_NEVER when none is set. */
uint64_t nxi_timers_next(const struct nxi_timers *ts);
/* Unsets and calls those that are due; they may set and unset any. Returns how many. */
size_t nxi_timers_run(struct nxi_timers *ts, uint64_t now);

#endif
