/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions: they check their arguments and call inward. */
#include "base/error.h"
#include "connector.h"
#include "options.h"
#include "seen.h"

#include <nxconnect/nxconnect.h>
#include <sched.h>

#define TEXT_OF(x) TEXT_OF_(x)
#define TEXT_OF_(x) #x

#define REQUIRE(arg)                                     \
    do {                                                 \
        if (!(arg))                                      \
            return nxi_fail(NXC_EINVAL, #arg " is NULL"); \
    } while (0)

/* Everything but _free is for the process that made the connector. */
#define REQUIRE_OURS(c)                                                         \
    do {                                                                        \
        if (nxi_forked(c))                                                      \
            return nxi_fail(NXC_ESTATE, #c " belongs to the parent process");    \
    } while (0)

const char *nxc_version(void)
{
    return TEXT_OF(NXC_VERSION_MAJOR) "." TEXT_OF(NXC_VERSION_MINOR) "." TEXT_OF(NXC_VERSION_PATCH);
}

/* ---- connector ---------------------------------------------------------------- */

int nxc_connector_new(const struct nxc_connector_opts *opts, nxc_connector **ret_c)
{
    struct nxc_connector_opts ours;
    REQUIRE(ret_c);
    int r = nxi_connector_options(opts, &ours);
    return r < 0 ? r : nxi_connector_new(&ours, ret_c);
}

void nxc_connector_free(nxc_connector *c)
{
    if (!c)
        return;
    if (nxi_forked(c))
        nxi_connector_unref(c); /* the fabrics' memory is the parent's business */
    else
        nxi_connector_close(c);
}

const char *nxc_connector_name(const nxc_connector *c)
{
    return c ? c->name : NULL;
}

int nxc_connector_fd(const nxc_connector *c)
{
    REQUIRE(c);
    REQUIRE_OURS(c);
    return c->ends_fd;
}

int nxc_connector_next(nxc_connector *c, struct nxc_event *ret_events, unsigned max)
{
    REQUIRE(c);
    REQUIRE(ret_events);
    REQUIRE_OURS(c);
    return nxi_queue_next(c, ret_events, max);
}

int nxc_connector_stats(const nxc_connector *c, struct nxc_stats *stats)
{
    REQUIRE(c);
    REQUIRE(stats);
    REQUIRE_OURS(c);
    if (stats->size < sizeof(size_t) || stats->size % 8)
        return nxi_fail(NXC_EINVAL, "stats->size is %zu", stats->size);
    struct nxc_stats s = {
        .size = stats->size < sizeof s ? stats->size : sizeof s,
        .started = atomic_load_explicit(&c->stats.started, memory_order_relaxed),
        .completed = atomic_load_explicit(&c->stats.completed, memory_order_relaxed),
        .cancelled = atomic_load_explicit(&c->stats.cancelled, memory_order_relaxed),
        .errored = atomic_load_explicit(&c->stats.errored, memory_order_relaxed),
        .bytes_read = atomic_load_explicit(&c->stats.bytes_read, memory_order_relaxed),
        .bytes_written = atomic_load_explicit(&c->stats.bytes_written, memory_order_relaxed),
        .region_bytes = atomic_load_explicit(&c->stats.region_bytes, memory_order_relaxed),
        .region_hits = atomic_load_explicit(&c->stats.region_hits, memory_order_relaxed),
        .region_misses = atomic_load_explicit(&c->stats.region_misses, memory_order_relaxed),
        .peers = atomic_load_explicit(&c->stats.peers, memory_order_relaxed),
    };
    memcpy(stats, &s, s.size);
    return 0;
}

/* ---- tickets -------------------------------------------------------------------- */

int nxc_ticket_parse(const char *json, size_t len, nxc_ticket **ret_t)
{
    REQUIRE(json);
    REQUIRE(ret_t);
    return nxi_ticket_decode(json, len, nxi_seen_agent, ret_t);
}

void nxc_ticket_free(nxc_ticket *t)
{
    nxi_ticket_free(t);
}

enum nxc_kind nxc_ticket_kind(const nxc_ticket *t)
{
    return t->kind;
}

const char *nxc_ticket_peer(const nxc_ticket *t)
{
    return t->agent->name;
}

size_t nxc_ticket_descs(const nxc_ticket *t, const struct nxc_desc **ret_descs)
{
    if (ret_descs)
        *ret_descs = t->descs;
    return t->n;
}

/* ---- operations ------------------------------------------------------------------- */

static int start(nxc_connector *c, enum nxc_kind kind, const nxc_ticket *t, bool active,
                 const struct nxc_desc *descs, size_t n, const struct nxc_op_opts *opts, nxc_op **ret_op)
{
    struct nxc_op_opts ours;
    uint64_t           total;
    nxc_op            *op;
    int                r;
    REQUIRE(c);
    REQUIRE(ret_op);
    if (active)
        REQUIRE(t);
    REQUIRE_OURS(c);
    if ((r = nxi_op_options(opts, &ours)) < 0 || (r = nxi_op_check_descs(descs, n, &total)) < 0 ||
        (active && (r = nxi_op_check_ticket(t, kind, descs, n)) < 0) ||
        (r = nxi_op_new(c, kind, t, descs, n, total, &ours, &op)) < 0)
        return r;
    *ret_op = op; /* before the start: its event may come at once */
    nxi_progress_start_op(c, op);
    return 0;
}

int nxc_op_create_readable(nxc_connector *c, const struct nxc_desc *descs, size_t n,
                           const struct nxc_op_opts *opts, nxc_op **ret_op)
{
    return start(c, NXC_READ, NULL, false, descs, n, opts, ret_op);
}

int nxc_op_create_writable(nxc_connector *c, const struct nxc_desc *descs, size_t n,
                           const struct nxc_op_opts *opts, nxc_op **ret_op)
{
    return start(c, NXC_WRITE, NULL, false, descs, n, opts, ret_op);
}

int nxc_op_begin_read(nxc_connector *c, const nxc_ticket *t, const struct nxc_desc *descs, size_t n,
                      const struct nxc_op_opts *opts, nxc_op **ret_op)
{
    return start(c, NXC_READ, t, true, descs, n, opts, ret_op);
}

int nxc_op_begin_write(nxc_connector *c, const nxc_ticket *t, const struct nxc_desc *descs, size_t n,
                       const struct nxc_op_opts *opts, nxc_op **ret_op)
{
    return start(c, NXC_WRITE, t, true, descs, n, opts, ret_op);
}

int nxc_op_ticket(nxc_op *op, enum nxc_encoding enc, const char **ret_json, size_t *ret_len)
{
    REQUIRE(op);
    REQUIRE(ret_json);
    REQUIRE_OURS(op->c);
    if (op->active)
        return nxi_fail(NXC_ESTATE, "only a created operation has a ticket");
    if (enc != NXC_B64 && enc != NXC_HEX)
        return nxi_fail(NXC_EINVAL, "enc: unknown value %d", (int)enc);
    return nxi_op_make_ticket(op, enc, ret_json, ret_len);
}

enum nxc_status nxc_op_status(const nxc_op *op)
{
    return (enum nxc_status)atomic_load_explicit(&op->status, memory_order_acquire);
}

enum nxc_kind nxc_op_kind(const nxc_op *op)
{
    return op->xfer.kind;
}

uint64_t nxc_op_id(const nxc_op *op)
{
    return op->id;
}

int nxc_op_error(const nxc_op *op, const char **ret_text)
{
    REQUIRE(op);
    if (!nxi_op_ended(op)) {
        if (ret_text)
            *ret_text = "";
        return 0;
    }
    if (ret_text)
        *ret_text = op->text ? op->text : op->error ? nxc_err_text(op->error) : "";
    return op->error;
}

int nxc_op_progress(const nxc_op *op, uint64_t *ret_done, uint64_t *ret_total)
{
    REQUIRE(op);
    if (ret_done)
        *ret_done = atomic_load_explicit(&op->xfer.done, memory_order_relaxed);
    if (ret_total)
        *ret_total = op->xfer.total;
    return 0;
}

const char *nxc_op_transport(const nxc_op *op)
{
    return op ? atomic_load_explicit(&op->xfer.transport, memory_order_acquire) : NULL;
}

int nxc_op_cancel(nxc_op *op)
{
    REQUIRE(op);
    REQUIRE_OURS(op->c);
    if (!nxi_op_ended(op))
        nxi_progress_want(op->c, op, NXI_WANT_CANCEL);
    return 0;
}

int nxc_op_wait(nxc_op *op, int64_t timeout_ms)
{
    REQUIRE(op);
    if (nxi_op_ended(op))
        return op->error;
    REQUIRE_OURS(op->c);
    uint64_t until = timeout_ms < 0 || (uint64_t)timeout_ms > NXI_NEVER / NXI_MS
                         ? NXI_NEVER
                         : nxi_after(nxi_now(), (uint64_t)timeout_ms * NXI_MS);
    if (!nxi_wait(op->c, op, until))
        return nxi_fail(NXC_EAGAIN, "operation %llu still runs", (unsigned long long)op->id);
    return op->error;
}

void nxc_op_free(nxc_op *op)
{
    if (!op)
        return;
    if (!nxi_forked(op->c)) {
        if (!nxi_op_ended(op)) {
            nxi_progress_want(op->c, op, NXI_WANT_CANCEL);
            nxi_wait(op->c, op, NXI_NEVER);
        }
        while (atomic_load(&op->wants)) /* the driver is just about to leave it alone */
            sched_yield();
    }
    nxi_op_free(op);
}
