/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

#include "base/error.h"
#include "connector.h"
#include "op_nixl.h"

#include <stdio.h>
#include <sys/eventfd.h>

static int check_device(const struct nxc_desc *d, size_t i)
{
    switch (d->device) {
    case NXC_HOST:
        if (d->device_id)
            return nxi_fail(NXC_EDEVICE, "descs[%zu]: host memory has device_id 0, not %u", i, d->device_id);
        return 0;
    case NXC_CUDA:
        return nxi_fail(NXC_ENOTSUP, "descs[%zu]: CUDA memory needs the UCX module with CUDA, which is not here", i);
    case NXC_XPU:
        return nxi_fail(NXC_ENOTSUP, "descs[%zu]: XPU memory needs the UCX module with Level Zero, which is not here",
                        i);
    }
    return nxi_fail(NXC_EDEVICE, "descs[%zu]: unknown device %u", i, d->device);
}

int nxi_op_check_descs(const struct nxc_desc *descs, size_t n, uint64_t *ret_total)
{
    uint64_t total = 0;
    if (!descs)
        return nxi_fail(NXC_EINVAL, "descs is NULL");
    if (!n)
        return nxi_fail(NXC_EINVAL, "n is 0: no descriptors");
    if (n > NXI_TICKET_DESCS_MAX)
        return nxi_fail(NXC_ELIMIT, "n is %zu, at most %d descriptors fit a ticket", n, NXI_TICKET_DESCS_MAX);
    for (size_t i = 0; i < n; i++) {
        int r = check_device(&descs[i], i);
        if (r < 0)
            return r;
        if (!descs[i].addr)
            return nxi_fail(NXC_EINVAL, "descs[%zu].addr is null", i);
        if (descs[i].len > UINTPTR_MAX - descs[i].addr)
            return nxi_fail(NXC_EINVAL, "descs[%zu] wraps around", i);
        if (descs[i].len > UINT64_MAX - total)
            return nxi_fail(NXC_EINVAL, "descs[%zu]: the sizes together do not fit 64 bits", i);
        total += descs[i].len;
    }
    *ret_total = total;
    return 0;
}

int nxi_op_check_ticket(const struct nxc_ticket *t, enum nxc_kind kind, const struct nxc_desc *descs, size_t n)
{
    if (t->kind != kind)
        return nxi_fail(NXC_EKIND, "a ticket to %s, used to %s", t->kind == NXC_READ ? "read" : "write",
                        kind == NXC_READ ? "read" : "write");
    if (t->n != n)
        return nxi_fail(NXC_ESIZE, "%zu descriptors here, %zu in the ticket", n, t->n);
    for (size_t i = 0; i < n; i++)
        if (descs[i].len != t->descs[i].len)
            return nxi_fail(NXC_ESIZE, "descs[%zu]: %llu bytes here, %llu in the ticket", i,
                            (unsigned long long)descs[i].len, (unsigned long long)t->descs[i].len);
    return 0;
}

/* How c may speak with the worker of t: 0 native, 1 NIXL, or why not. */
static int choose_dialect(const struct nxc_connector *c, const struct nxc_ticket *t)
{
    bool nixl = nxi_agent_conn_find(t->agent, "UCX") != NULL;
    if (t->agent->has_native && c->entry_len && !c->require_nixl) {
        int r = nxi_entry_check(&t->agent->native);
        if (r == 0 || !nixl || !c->onesided)
            return r;
    }
    if (nixl && c->onesided)
        return 1;
    if (t->agent->has_native)
        return nxi_fail(NXC_EUNREACH, "a ticket of a native worker: the option transports of this connector leaves out "
                                      "shm and tcp");
    if (!nixl)
        return nxi_fail(NXC_ENOTSUP, "a ticket of a NIXL worker without the backend UCX");
    return nxi_fail(NXC_ENOTSUP, "a ticket of a NIXL worker: the option peers of this connector admits native "
                                 "peers only (NXC_PEERS_NATIVE), NXC_PEERS_ANY would admit it");
}

/* What the dialect needs to know of t, or of our memory when there is no t. */
static int prepare(struct nxc_op *op, const struct nxc_ticket *t, bool nixl)
{
    if (!t)
        return op->c->onesided ? nxi_op_nixl_expose(op) : 0;
    op->agent = nxi_agent_ref(t->agent);
    if (nixl)
        return nxi_op_nixl_aim(op, t);
    op->xfer.to = &op->agent->native;
    op->xfer.key = t->key;
    return 0;
}

int nxi_op_new(struct nxc_connector *c, enum nxc_kind kind, const struct nxc_ticket *t, const struct nxc_desc *descs,
               size_t n, uint64_t total, const struct nxc_op_opts *opts, struct nxc_op **ret_op)
{
    int nixl = t ? choose_dialect(c, t) : 0;
    if (nixl < 0)
        return nixl;
    if (nxi_connector_unfinished(c) >= c->max_ops)
        return nxi_fail(NXC_ELIMIT, "max_ops: %u operations are unfinished", c->max_ops);
    struct nxc_op *op = nxi_calloc(1, sizeof *op + n * sizeof *descs);
    if (!op)
        return nxi_fail(NXC_ENOMEM, "no memory for an operation of %zu descriptors", n);
    op->c = nxi_connector_ref(c);
    op->active = t != NULL;
    op->queued = opts->queued;
    op->arg = opts->arg;
    memcpy(op->descs, descs, n * sizeof *descs);
    op->xfer.kind = kind;
    op->xfer.active = op->active;
    op->xfer.descs = op->descs;
    op->xfer.n = n;
    op->xfer.total = total;
    op->xfer.deadline = NXI_NEVER;
    if (opts->timeout_ms)
        op->xfer.deadline = opts->timeout_ms > NXI_NEVER / NXI_MS ? NXI_NEVER
                                                                  : nxi_after(nxi_now(), opts->timeout_ms * NXI_MS);
    int r = prepare(op, t, nixl);
    if (r < 0) {
        nxi_op_free(op);
        return r;
    }
    op->id = op->xfer.id = 1 + atomic_fetch_add_explicit(&c->stats.started, 1, memory_order_relaxed);
    if (!t) {
        op->xfer.key.op = op->id;
        nxi_connector_random(c, op->xfer.key.secret, sizeof op->xfer.key.secret);
    }
    atomic_init(&op->status, t ? NXC_IN_PROGRESS : NXC_INITIALIZED);
    *ret_op = op;
    return 0;
}

void nxi_op_free(struct nxc_op *op)
{
    struct nxc_connector *c = op->c;
    if (!nxi_forked(c)) { /* the locks' state in a child is anybody's guess */
        if (op->queued)
            nxi_queue_remove(c, op);
        nxi_op_nixl_release(op);
    }
    nxi_op_nixl_free(op);
    nxi_agent_unref(op->agent);
    free(op->ticket[NXC_B64]);
    free(op->ticket[NXC_HEX]);
    free(op->text);
    free(op);
    nxi_connector_unref(c);
}

static int make_ticket(struct nxc_op *op, enum nxc_encoding enc)
{
    struct nxc_connector *c = op->c;
    char                  key[NXI_KEY_TEXT], *own = NULL;
    int                   r = 0;
    if (op->nixl)
        r = nxi_op_nixl_blob(op, enc == NXC_HEX, &own);
    else if (!c->blob_text[enc])
        r = nxi_blob_to_text(c->blob, c->blob_len, enc == NXC_HEX, &c->blob_text[enc]);
    if (r < 0)
        return r;
    nxi_key_encode(&op->xfer.key, key);
    r = nxi_ticket_encode(op->xfer.kind, op->descs, op->xfer.n, own ? own : c->blob_text[enc], key, &op->ticket[enc],
                          &op->ticket_len[enc]);
    free(own);
    return r;
}

int nxi_op_make_ticket(struct nxc_op *op, enum nxc_encoding enc, const char **ret_json, size_t *ret_len)
{
    int r = 0;
    pthread_mutex_lock(&op->c->text_lock);
    if (!op->ticket[enc])
        r = make_ticket(op, enc);
    pthread_mutex_unlock(&op->c->text_lock);
    if (r < 0)
        return r;
    *ret_json = op->ticket[enc];
    if (ret_len)
        *ret_len = op->ticket_len[enc];
    return 0;
}

static struct nxc_op *op_of(struct nxi_xfer *x)
{
    return (struct nxc_op *)((char *)x - offsetof(struct nxc_op, xfer));
}

void nxi_op_on_begun(void *arg, struct nxi_xfer *x)
{
    (void)arg;
    atomic_store_explicit(&op_of(x)->status, NXC_IN_PROGRESS, memory_order_relaxed);
}

/* Only the driver writes these: no locked instruction, which would wait for all stores before it. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_release);
}

static void count(struct nxc_connector *c, const struct nxi_xfer *x, enum nxc_status status)
{
    _Atomic uint64_t *ends = status == NXC_COMPLETE    ? &c->stats.completed
                             : status == NXC_CANCELLED ? &c->stats.cancelled
                                                       : &c->stats.errored;
    _Atomic uint64_t *bytes = x->kind == NXC_READ ? &c->stats.bytes_read : &c->stats.bytes_written;
    add(ends, 1);
    if (status == NXC_COMPLETE)
        add(bytes, x->total);
}

/* NULL when there is no memory for it. */
static char *end_text(const struct nxc_op *op, const char *text)
{
    char long_text[256];
    if (!op->nixl || op->active)
        return nxi_dup(text);
    /* Nothing can take its key back. */
    snprintf(long_text, sizeof long_text, "%s; a NIXL worker that has the ticket may still reach the memory", text);
    return nxi_dup(long_text);
}

void nxi_op_on_ended(void *arg, struct nxi_xfer *x, enum nxc_status status, int error, const char *text)
{
    struct nxc_connector *c = arg;
    struct nxc_op        *op = op_of(x);
    count(c, x, status);
    op->error = error;
    if (error)
        op->text = end_text(op, text);
    nxi_op_nixl_release(op);
    bool waited = c->lead_asleep == op;
    c->ends_untold = true;
    if (op->queued)
        nxi_queue_put(c, op, status);
    else
        atomic_store_explicit(&op->status, (int)status, memory_order_release);
    /* From here on op may be gone: its user has seen the end. */
    if (waited)
        eventfd_write(c->lead_bell, 1);
}
