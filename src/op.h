/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_OP_H
#define NXI_OP_H
/* Operations: what the user holds. The transfer inside does the work. */
#include "dialect/native.h"

#include <nxconnect/nxconnect.h>
#include <stdatomic.h>

struct nxi_op_nixl;

/* What other threads want of the driver, for one operation. */
enum { NXI_WANT_START = 1, NXI_WANT_CANCEL = 2 };

struct nxc_op {
    /* fixed at birth */
    struct nxc_connector *c; /* a reference */
    uint64_t              id;
    bool                  active, queued;
    void                 *arg;
    struct nxi_agent     *agent; /* active: the peer's, a reference */
    /* any thread */
    _Atomic int             status; /* enum nxc_status; the end is stored last */
    atomic_uint             wants;  /* NXI_WANT_*; not 0: on the connector's inbox */
    _Atomic(struct nxc_op *) inbox_next;
    /* written before the end is stored in status, read after */
    int   error;
    char *text; /* NULL when there was no memory for it */
    /* under c->ends_lock */
    bool           in_ends;
    struct nxc_op *ends_prev, *ends_next;
    /* under c->text_lock */
    char  *ticket[2]; /* by enum nxc_encoding, made when first asked for */
    size_t ticket_len[2];
    struct nxi_op_nixl *nixl; /* what it has because of NIXL workers, or NULL: op_nixl.c */
    /* the driver's */
    struct nxi_xfer xfer;
    struct nxc_desc descs[];
};

static inline bool nxi_op_ended(const struct nxc_op *op)
{
    return atomic_load_explicit(&op->status, memory_order_acquire) >= NXC_COMPLETE;
}

/* Checks what the user gives; the details name the argument. */
int nxi_op_check_descs(const struct nxc_desc *descs, size_t n, uint64_t *ret_total);
int nxi_op_check_ticket(const struct nxc_ticket *t, enum nxc_kind kind, const struct nxc_desc *descs, size_t n);
/* opts has the current size. t is NULL for a passive operation. The operation
 * is not started yet. */
int  nxi_op_new(struct nxc_connector *c, enum nxc_kind kind, const struct nxc_ticket *t, const struct nxc_desc *descs,
                size_t n, uint64_t total, const struct nxc_op_opts *opts, struct nxc_op **ret_op);
void nxi_op_free(struct nxc_op *op); /* one that has ended, or never started */

int nxi_op_make_ticket(struct nxc_op *op, enum nxc_encoding enc, const char **ret_json, size_t *ret_len);

/* The dialect's callbacks; arg is the connector. The driver calls them. */
void nxi_op_on_begun(void *arg, struct nxi_xfer *x);
void nxi_op_on_ended(void *arg, struct nxi_xfer *x, enum nxc_status status, int error, const char *text);

#endif
