/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who goes to sleep sets its flag `asleep`, then looks at the rings once more; who
 * sends writes the frame, then looks at the flag. With a full fence between the
 * two on either side, at least one of them sees the other: no frame is slept on.
 *
 * The sender's fence and look are put off until its driver polls again or
 * leaves, so that they cost the frame no time. And the bell is put off a little
 * more: in a busy exchange the peer is marked asleep only for the moment between
 * leaving one wait and entering the next, and a bell then is a system call here
 * and a woken thread there for nothing. So it is rung when the peer still sleeps
 * on a frame that was sent PATIENCE ago or more. Who rings takes the flag back: one
 * bell for one sleep.
 */
#include "base/table.h"
#include "fabric/shm.h"

#include <errno.h>
#include <sys/socket.h>

enum {
    PATIENCE = 1000,       /* ns, by the clock */
    POLLED = 2 * PATIENCE, /* by poll's `now`, which is a little old */
};

/* What a link that was marked needs. Right only after a full fence. */
enum need { NOTHING, PATIENT, BELL };

void nxi_shm_unsettle(struct nxi_shm_link *l, uint64_t now)
{
    struct nxi_shm *f = l->fabric;
    if (l->unsettled)
        return;
    l->unsettled = true;
    l->mark = l->out.tail;
    l->marked_at = now;
    if (!f->unsettled)
        f->settle_at = nxi_after(now, POLLED);
    LL_PREPEND2(f->unsettled, l, unsettled_next);
}

void nxi_shm_unsettle_not(struct nxi_shm_link *l)
{
    if (!l->unsettled)
        return;
    l->unsettled = false;
    LL_DELETE2(l->fabric->unsettled, l, unsettled_next);
}

static enum need look(struct nxi_shm_link *l)
{
    if (!atomic_load_explicit(&l->theirs->asleep, memory_order_relaxed))
        return NOTHING;
    if (atomic_load_explicit(&l->theirs->wants_room, memory_order_relaxed))
        return BELL;
    uint32_t head = atomic_load_explicit(&l->theirs->head, memory_order_relaxed);
    if (head == l->out.tail)
        return NOTHING;
    return (int32_t)(head - l->mark) >= 0 ? PATIENT : BELL;
}

static void ring(struct nxi_shm_link *l)
{
    nxi_shm_unsettle_not(l);
    if (!atomic_exchange(&l->theirs->asleep, 0))
        return;
    /* A full socket is full of bells. */
    if (send(l->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != EINTR)
        nxi_shm_hang_up(l, "the peer hung up");
}

void nxi_shm_settle_due(struct nxi_shm *f, uint64_t now)
{
    struct nxi_shm_link *l, *next;
    uint64_t             first = NXI_NEVER;
    atomic_thread_fence(memory_order_seq_cst);
    LL_FOREACH_SAFE2(f->unsettled, l, next, unsettled_next) {
        enum need need = look(l);
        if (need == NOTHING) {
            nxi_shm_unsettle_not(l);
            continue;
        }
        if (need == BELL && now >= nxi_after(l->marked_at, POLLED)) {
            ring(l);
            continue;
        }
        if (need == PATIENT) { /* what was marked is read, but more was sent since */
            l->mark = l->out.tail;
            l->marked_at = now;
        }
        if (nxi_after(l->marked_at, POLLED) < first)
            first = nxi_after(l->marked_at, POLLED);
    }
    f->settle_at = first;
}

void nxi_shm_settle(struct nxi_fabric *fabric)
{
    struct nxi_shm      *f = (struct nxi_shm *)fabric;
    struct nxi_shm_link *l, *next;
    uint64_t             until = 0;
    while (f->unsettled) {
        atomic_thread_fence(memory_order_seq_cst);
        LL_FOREACH_SAFE2(f->unsettled, l, next, unsettled_next)
            if (look(l) == NOTHING)
                nxi_shm_unsettle_not(l);
        if (!f->unsettled)
            return;
        uint64_t now = nxi_now();
        if (!until)
            until = now + PATIENCE;
        if (now >= until)
            LL_FOREACH_SAFE2(f->unsettled, l, next, unsettled_next)
                ring(l);
        nxi_relax();
    }
}

bool nxi_shm_arm(struct nxi_fabric *fabric)
{
    struct nxi_shm      *f = (struct nxi_shm *)fabric;
    struct nxi_shm_link *l;
    bool                 due = false;
    nxi_shm_settle(fabric);
    DL_FOREACH(f->links, l)
        if (l->stage == NXI_SHM_UP)
            atomic_store_explicit(&l->ours->asleep, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    DL_FOREACH(f->links, l)
        due |= nxi_shm_due(l);
    return due;
}

void nxi_shm_wake(struct nxi_fabric *fabric)
{
    struct nxi_shm      *f = (struct nxi_shm *)fabric;
    struct nxi_shm_link *l;
    DL_FOREACH(f->links, l)
        if (l->stage == NXI_SHM_UP)
            atomic_store_explicit(&l->ours->asleep, 0, memory_order_relaxed);
}
