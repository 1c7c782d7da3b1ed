/* SPDX-License-Identifier: Apache-2.0 */
/* Who drives and when: spinning while bytes move, sleeping in epoll when nothing
 * does. See docs/threads.md. */
#include "connector.h"

#include "base/error.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum {
    CLOCK_TURNS = 8,         /* the clock is read once in so many turns */
    EPOLL_US = 500,          /* while spinning, epoll is asked so often: for what the fabrics' own looks miss */
    EPOLL_BATCH = 32,
    AWAY_MS = 50,            /* turns that took longer did not run all the time: the process was stopped */
    BUSY_US = 300,           /* a caller that has driven within this time will again, soon */
    STREAK_US = 50,          /* a lead that comes back within this time is on a streak, */
    STREAK_MIN = 8,          /* and after so many times it need not say that it leaves */
    STREAK_MAX = 64,
    ENTER_SPINS = 4000,      /* tries to get drive before sleeping for it */
    LEAVE_TRIES = 64,        /* turns of a leaving driver that finds more to do */
};

/* ---- the inbox ------------------------------------------------------------- */

static void push(struct nxc_connector *c, struct nxc_op *op)
{
    struct nxc_op *head = atomic_load_explicit(&c->inbox, memory_order_relaxed);
    do
        atomic_store_explicit(&op->inbox_next, head, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&c->inbox, &head, op));
}

/* Does what is wanted of op. After the last exchange op may be freed by its user. */
static void serve(struct nxc_connector *c, struct nxc_op *op, uint64_t now)
{
    unsigned wants = atomic_load(&op->wants), done = 0;
    do {
        if (wants & ~done & NXI_WANT_START)
            nxi_native_start(c->native, &op->xfer, now);
        if (wants & ~done & NXI_WANT_CANCEL)
            nxi_native_cancel(c->native, &op->xfer, now);
        done = wants;
    } while (!atomic_compare_exchange_strong(&op->wants, &wants, 0));
}

static int drain_inbox(struct nxc_connector *c, uint64_t now)
{
    if (!atomic_load_explicit(&c->inbox, memory_order_relaxed))
        return 0;
    struct nxc_op *op = atomic_exchange(&c->inbox, NULL), *first = NULL, *next;
    for (; op; op = next) { /* the newest is on top: turn it round */
        next = atomic_load_explicit(&op->inbox_next, memory_order_relaxed);
        atomic_store_explicit(&op->inbox_next, first, memory_order_relaxed);
        first = op;
    }
    for (op = first; op; op = next) {
        next = atomic_load_explicit(&op->inbox_next, memory_order_relaxed);
        serve(c, op, now);
    }
    return 1;
}

void nxi_progress_refill(void *arg, uint64_t now)
{
    drain_inbox(arg, now);
}

/* ---- one turn -------------------------------------------------------------- */

static void set_armed(struct nxc_connector *c, bool armed)
{
    if (c->armed && !armed)
        for (size_t i = 0; i < c->n_fabrics; i++)
            c->fabrics[i]->ops->wake(c->fabrics[i]);
    c->armed = armed;
}

/* Says to the peers that we sleep. false when there is something to do after all. */
static bool arm(struct nxc_connector *c)
{
    bool busy = nxi_native_busy(c->native);
    set_armed(c, true);
    for (size_t i = 0; i < c->n_fabrics; i++)
        busy |= c->fabrics[i]->ops->arm(c->fabrics[i]);
    if (busy || atomic_load(&c->inbox))
        set_armed(c, false);
    return c->armed;
}

static int dispatch(struct nxc_connector *c, int timeout_ms, uint64_t now)
{
    struct epoll_event events[EPOLL_BATCH];
    int                n = epoll_wait(c->env.epfd, events, EPOLL_BATCH, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct nxi_watch *w = events[i].data.ptr;
        w->fn(w, events[i].events, now);
    }
    return n > 0 ? n : 0;
}

static int turn(struct nxc_connector *c, uint64_t now)
{
    int did = drain_inbox(c, now);
    for (size_t i = 0; i < c->n_fabrics; i++)
        did += c->fabrics[i]->ops->poll(c->fabrics[i], now);
    return did + nxi_native_poll(c->native, now);
}

/* What need not be looked at in each turn: descriptors, timers. */
static int seldom(struct nxc_connector *c, uint64_t now)
{
    int  did = 0;
    bool due = nxi_timers_next(&c->timers) <= now;
    if (due || now - c->epoll_at >= EPOLL_US * NXI_US) {
        /* Before a timer judges a peer's silence, all that it said is heard. */
        did = dispatch(c, 0, now) + turn(c, now);
        c->epoll_at = now;
    }
    return due ? did + (int)nxi_timers_run(&c->timers, now) : did;
}

/* For epoll, which counts in ms: rounded up. */
static int ms_until(uint64_t now, uint64_t at)
{
    if (at == NXI_NEVER)
        return -1;
    if (at <= now)
        return 0;
    uint64_t ms = (at - now + NXI_MS - 1) / NXI_MS;
    return ms > 3600000 ? 3600000 : (int)ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Unlocks drive. false when the inbox was filled meanwhile by one who found drive
 * taken: that is ours to do then. */
static bool give_up_drive(struct nxc_connector *c)
{
    bool ends = c->ends_untold;
    c->ends_untold = false;
    pthread_mutex_unlock(&c->drive);
    /* Pairs with the fence in nxi_progress_want: either we see what was put in the
     * inbox, or they see that drive is free. */
    atomic_thread_fence(memory_order_seq_cst);
    if (ends)
        nxi_wait_wake(c);
    return !atomic_load(&c->inbox);
}

/* Operations have ended: those who follow are told. The fence pairs with theirs: we
 * see that they sleep, or they see the end. It is paid for now and then, not for each end. */
static void tell_ends(struct nxc_connector *c)
{
    if (!c->ends_untold)
        return;
    c->ends_untold = false;
    atomic_thread_fence(memory_order_seq_cst);
    nxi_wait_wake(c);
}

/* ---- driving --------------------------------------------------------------- */

/* The lead sleeps in epoll itself, so that what it waits for wakes it and no
 * other thread; the progress thread's look at that epoll is shut meanwhile. */
static void sleep_as_lead(struct nxc_connector *c, struct nxc_op *op, uint64_t until)
{
    struct epoll_event shut = { 0 }, open = { .events = EPOLLIN };
    struct epoll_event events[EPOLL_BATCH];
    eventfd_t          ignored;
    if (!arm(c))
        return;
    c->lead_asleep = op;
    c->lead_until = earlier(until, nxi_timers_next(&c->timers));
    int ms = ms_until(nxi_now(), c->lead_until);
    epoll_ctl(c->thread_epfd, EPOLL_CTL_MOD, c->env.epfd, &shut);
    if (give_up_drive(c))
        epoll_wait(c->env.epfd, events, EPOLL_BATCH, ms); /* looked at again, with drive held */
    nxi_progress_enter(c);
    c->lead_asleep = NULL;
    eventfd_read(c->lead_bell, &ignored);
    dispatch(c, 0, nxi_now());
    /* Last, else what woke us would wake the thread as well. */
    epoll_ctl(c->thread_epfd, EPOLL_CTL_MOD, c->env.epfd, &open);
}

static bool must_yield(struct nxc_connector *c)
{
    return atomic_load_explicit(&c->wanted, memory_order_relaxed) ||
           atomic_load_explicit(&c->stopping, memory_order_relaxed);
}

/* One late return among many soon ones is a thread switch, not the end of the streak. */
static void count_streak(struct nxc_connector *c, uint64_t now)
{
    bool soon = now - atomic_load_explicit(&c->left_at, memory_order_relaxed) < STREAK_US * NXI_US;
    if (!soon)
        c->streak /= 2;
    else if (c->streak < STREAK_MAX)
        c->streak++;
}

void nxi_progress_drive(struct nxc_connector *c, struct nxc_op *op, uint64_t until)
{
    uint64_t now = nxi_now(), active = now;
    unsigned turns = 0;
    bool     moved = false;
    c->drive_now = now;
    if (op)
        count_streak(c, now);
    for (;;) {
        int did = turn(c, now);
        if (op && nxi_op_ended(op))
            return;
        moved |= did != 0;
        if (!did)
            nxi_relax();
        if (++turns % CLOCK_TURNS)
            continue;
        tell_ends(c);
        uint64_t then = now;
        c->drive_now = now = nxi_now();
        if (now - then > AWAY_MS * NXI_MS)
            nxi_native_away(c->native, now);
        moved |= seldom(c, now) != 0;
        if ((op && nxi_op_ended(op)) || now >= until || (!op && must_yield(c)))
            return;
        if (moved)
            active = now;
        else if (now - active >= c->spin_ns && !op)
            return;
        else if (now - active >= c->spin_ns) {
            sleep_as_lead(c, op, until);
            active = now = nxi_now();
        }
        moved = false;
    }
}

void nxi_progress_enter(struct nxc_connector *c)
{
    if (pthread_mutex_trylock(&c->drive) != 0) {
        int tries = 0, r;
        atomic_fetch_add(&c->wanted, 1); /* the progress thread gives way */
        while ((r = pthread_mutex_trylock(&c->drive)) != 0 && ++tries < ENTER_SPINS)
            nxi_relax();
        if (r != 0)
            pthread_mutex_lock(&c->drive);
        atomic_fetch_sub(&c->wanted, 1);
    }
    set_armed(c, false);
}

/* Rings who sleeps, if there is something that nobody would do in time: work that
 * waits for no event, or a timer that was set since and is earlier by more than
 * the ms that epoll counts in. */
static int bell_to_ring(struct nxc_connector *c)
{
    uint64_t *until = c->lead_asleep ? &c->lead_until : &c->thread_until;
    bool      due = c->armed && nxi_native_busy(c->native);
    /* What was sent while armed may have found a ring full, or a peer gone: look once more. */
    for (size_t i = 0; c->armed && i < c->n_fabrics; i++)
        due |= c->fabrics[i]->ops->arm(c->fabrics[i]);
    if (!due && nxi_after(nxi_timers_next(&c->timers), NXI_MS) >= *until)
        return -1;
    *until = 0; /* once is enough */
    if (!c->lead_asleep)
        atomic_store(&c->left_work, true);
    return c->lead_asleep ? c->lead_bell : c->thread_bell;
}

/* Gives drive back, and stays for what others, who found it taken, left to us. */
static void release(struct nxc_connector *c)
{
    for (;;) {
        for (size_t i = 0; i < c->n_fabrics; i++)
            if (c->fabrics[i]->ops->settle)
                c->fabrics[i]->ops->settle(c->fabrics[i]);
        int  bell = bell_to_ring(c);
        bool empty = give_up_drive(c);
        if (bell >= 0)
            eventfd_write(bell, 1);
        if (empty || pthread_mutex_trylock(&c->drive) != 0)
            return;
        drain_inbox(c, nxi_now());
    }
}

/* In a busy exchange the lead is back in a moment. Then it does not say that it
 * leaves: telling the peers costs two cores a cache line each time. The progress
 * thread looks after us meanwhile, now and then, and takes over if we stay away. */
static bool linger(struct nxc_connector *c)
{
    if (c->streak < STREAK_MIN || nxi_native_busy(c->native))
        return false;
    if (!atomic_load(&c->lingering) && !atomic_exchange(&c->lingering, true) && !atomic_load(&c->pausing))
        eventfd_write(c->thread_bell, 1);
    return true;
}

void nxi_progress_leave(struct nxc_connector *c)
{
    bool safe = linger(c);
    if (!safe)
        atomic_store_explicit(&c->lingering, false, memory_order_relaxed);
    for (int i = 0; i < LEAVE_TRIES && !safe && !(safe = arm(c)); i++)
        turn(c, nxi_now());
    if (!safe) {
        c->thread_until = 0;
        atomic_store(&c->left_work, true);
        eventfd_write(c->thread_bell, 1);
    }
    release(c);
}

/* The time for what need not be exact to the ms, nor ever go back. */
static uint64_t cheap_now(const struct nxc_connector *c)
{
    uint64_t coarse = nxi_now_coarse();
    return coarse > c->drive_now ? coarse : c->drive_now;
}

void nxi_progress_start_op(struct nxc_connector *c, struct nxc_op *op)
{
    /* Nobody else knows op yet, so with drive in hand it need not go through the inbox. */
    if (pthread_mutex_trylock(&c->drive) != 0) {
        nxi_progress_want(c, op, NXI_WANT_START);
        return;
    }
    uint64_t now = cheap_now(c);
    drain_inbox(c, now);
    nxi_native_start(c->native, &op->xfer, now);
    release(c);
}

void nxi_progress_want(struct nxc_connector *c, struct nxc_op *op, unsigned wants)
{
    if (atomic_fetch_or(&op->wants, wants) == 0)
        push(c, op);
    atomic_thread_fence(memory_order_seq_cst); /* see give_up_drive */
    if (pthread_mutex_trylock(&c->drive) != 0)
        return; /* who drives looks at the inbox, after it has given up drive too */
    drain_inbox(c, cheap_now(c));
    release(c);
}

/* ---- the progress thread ------------------------------------------------------ */

/* Callers drive now, or did a moment ago and are likely to come back. */
static bool callers_busy(struct nxc_connector *c)
{
    return atomic_load(&c->led) ||
           nxi_now() - atomic_load_explicit(&c->left_at, memory_order_relaxed) < BUSY_US * NXI_US;
}

/* Sleeps until there is something that no caller will do. Over shm nothing wakes
 * the thread while callers drive; bytes on a socket do, again and again: hence the pause. */
static void sleep_as_thread(struct nxc_connector *c)
{
    struct pollfd      bell = { .fd = c->thread_bell, .events = POLLIN };
    struct timespec    pause = { 0, BUSY_US * 1000 };
    struct epoll_event events[2];
    eventfd_t          ignored;
    c->thread_until = nxi_timers_next(&c->timers);
    uint64_t until = c->thread_until;
    bool     empty = give_up_drive(c);
    while (empty && !atomic_load(&c->stopping)) {
        if (!atomic_load(&c->lingering))
            epoll_wait(c->thread_epfd, events, 2, ms_until(nxi_now(), until));
        eventfd_read(c->thread_bell, &ignored);
        bool work = atomic_exchange(&c->left_work, false);
        if (work || !callers_busy(c) || nxi_now() >= until)
            break; /* with a lead there, thread_main finds the new time to sleep until */
        atomic_store(&c->pausing, true);
        ppoll(&bell, 1, &pause, NULL);
        atomic_store(&c->pausing, false);
        if (pause.tv_nsec < BUSY_US * 1000 * 8)
            pause.tv_nsec *= 2; /* the longer they have been busy, the longer they will be */
    }
    pthread_mutex_lock(&c->drive);
}

static void *thread_main(void *arg)
{
    struct nxc_connector *c = arg;
    pthread_mutex_lock(&c->drive);
    while (!atomic_load(&c->stopping)) {
        if (atomic_load(&c->led)) { /* awake fabrics and no thread: the lead has both */
            /* But for what was put in the inbox while we held drive: the lead may sleep. */
            if (drain_inbox(c, nxi_now()) && c->lead_asleep)
                eventfd_write(c->lead_bell, 1);
            sleep_as_thread(c);
            continue;
        }
        atomic_store_explicit(&c->lingering, false, memory_order_relaxed);
        set_armed(c, false);
        dispatch(c, 0, nxi_now());
        nxi_progress_drive(c, NULL, NXI_NEVER);
        if (must_yield(c) || arm(c))
            sleep_as_thread(c);
    }
    pthread_mutex_unlock(&c->drive);
    return NULL;
}

void nxi_progress_finish(struct nxc_connector *c, uint64_t until)
{
    uint64_t now;
    while (!nxi_native_stopped(c->native) && (now = nxi_now()) < until) {
        struct epoll_event events[EPOLL_BATCH];
        c->epoll_at = 0;
        if (seldom(c, now) || !arm(c))
            continue;
        epoll_wait(c->env.epfd, events, EPOLL_BATCH, ms_until(now, earlier(until, nxi_timers_next(&c->timers))));
        set_armed(c, false);
    }
}

int nxi_progress_start(struct nxc_connector *c)
{
    static const int faults[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP };
    sigset_t         blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]); /* an application that copes with faults of its own memory may */
    /* All others are for the application's own threads. */
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int r = pthread_create(&c->thread, NULL, thread_main, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return nxi_fail_errno(NXC_ESYSTEM, r, "the progress thread");
    pthread_setname_np(c->thread, "nxconnect");
    c->has_thread = true;
    return 0;
}

void nxi_progress_stop(struct nxc_connector *c)
{
    if (!c->has_thread)
        return;
    atomic_store(&c->stopping, true);
    eventfd_write(c->thread_bell, 1);
    pthread_join(c->thread, NULL);
    c->has_thread = false;
}
