/* SPDX-License-Identifier: Apache-2.0 */
/* nxc_op_wait: one waiting thread leads, which means that it drives; the others
 * follow, asleep until their operation ends or the lead is free. */
#include "connector.h"

#include <errno.h>

static bool take_lead(struct nxc_connector *c)
{
    return !atomic_load_explicit(&c->led, memory_order_relaxed) && !atomic_exchange(&c->led, true);
}

/* Wakes one that could lead now, or pass the word on. */
static void call_follower(struct nxc_connector *c)
{
    if (!atomic_load(&c->followers_n))
        return;
    pthread_mutex_lock(&c->followers_lock);
    if (c->followers)
        pthread_cond_signal(&c->followers->cond);
    pthread_mutex_unlock(&c->followers_lock);
}

static void lead(struct nxc_connector *c, struct nxc_op *op, uint64_t until)
{
    nxi_progress_enter(c);
    nxi_progress_drive(c, op, until);
    /* Not led any more before drive is given up: a progress thread that is woken
     * for what we leave behind must not take it for ours. */
    atomic_store_explicit(&c->left_at, c->drive_now, memory_order_relaxed);
    atomic_store_explicit(&c->led, false, memory_order_release); /* a fence follows in leave */
    nxi_progress_leave(c);
}

/* Sleeps until op has ended, the lead is free, or the time has come. */
static void follow(struct nxc_connector *c, struct nxc_op *op, uint64_t until)
{
    struct nxi_follower me = { .op = op };
    pthread_condattr_t  attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&me.cond, &attr);
    pthread_condattr_destroy(&attr);
    struct timespec t = { (time_t)(until / NXI_SEC), (long)(until % NXI_SEC) };
    int             r = 0;

    pthread_mutex_lock(&c->followers_lock);
    DL_APPEND(c->followers, &me);
    atomic_fetch_add(&c->followers_n, 1);
    atomic_thread_fence(memory_order_seq_cst);
    /* The end and the lead are looked at after we can be seen: one of the two sides notices. */
    while (!nxi_op_ended(op) && atomic_load(&c->led) && r != ETIMEDOUT)
        r = until == NXI_NEVER ? pthread_cond_wait(&me.cond, &c->followers_lock)
                               : pthread_cond_timedwait(&me.cond, &c->followers_lock, &t);
    atomic_fetch_sub(&c->followers_n, 1);
    DL_DELETE(c->followers, &me);
    pthread_mutex_unlock(&c->followers_lock);
    pthread_cond_destroy(&me.cond);
}

bool nxi_wait(struct nxc_connector *c, struct nxc_op *op, uint64_t until)
{
    bool ended;
    while (!(ended = nxi_op_ended(op)) && (until == NXI_NEVER || nxi_now() < until)) {
        if (take_lead(c))
            lead(c, op, until);
        else
            follow(c, op, until);
    }
    if (!atomic_load(&c->led))
        call_follower(c);
    return ended;
}

void nxi_wait_wake(struct nxc_connector *c)
{
    struct nxi_follower *f;
    if (!atomic_load_explicit(&c->followers_n, memory_order_relaxed))
        return;
    pthread_mutex_lock(&c->followers_lock);
    DL_FOREACH (c->followers, f)
        if (nxi_op_ended(f->op))
            pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&c->followers_lock);
}
