/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of queued operations, for nxc_connector_next(), and the descriptor
 * that is readable exactly while there are some. */
#include "connector.h"

#include <sys/eventfd.h>
#include <unistd.h>

void nxi_queue_put(struct nxc_connector *c, struct nxc_op *op, enum nxc_status status)
{
    pthread_mutex_lock(&c->ends_lock);
    bool first = !c->ends;
    op->in_ends = true;
    DL_APPEND2(c->ends, op, ends_prev, ends_next);
    /* Under the lock: who takes the event sees the end, and who sees the end and
     * frees the operation waits here until it can be taken out again. */
    atomic_store(&op->status, (int)status);
    if (first)
        eventfd_write(c->ends_fd, 1); /* who is woken by it finds the operation ended */
    pthread_mutex_unlock(&c->ends_lock);
}

static void take(struct nxc_connector *c, struct nxc_op *op)
{
    eventfd_t ignored;
    DL_DELETE2(c->ends, op, ends_prev, ends_next);
    op->in_ends = false;
    if (!c->ends && !atomic_load_explicit(&c->closed, memory_order_relaxed))
        eventfd_read(c->ends_fd, &ignored);
}

void nxi_queue_remove(struct nxc_connector *c, struct nxc_op *op)
{
    pthread_mutex_lock(&c->ends_lock);
    if (op->in_ends)
        take(c, op);
    pthread_mutex_unlock(&c->ends_lock);
}

int nxi_queue_next(struct nxc_connector *c, struct nxc_event *ret_events, unsigned max)
{
    unsigned n = 0;
    pthread_mutex_lock(&c->ends_lock);
    for (; n < max && c->ends; n++) {
        struct nxc_op *op = c->ends;
        ret_events[n] = (struct nxc_event){ op, op->arg, atomic_load(&op->status), op->error };
        take(c, op);
    }
    pthread_mutex_unlock(&c->ends_lock);
    return (int)n;
}
