/* SPDX-License-Identifier: Apache-2.0 */
#include "op_nixl.h"

#include "base/error.h"
#include "codec/cover.h"
#include "connector.h"
#include "region.h"

#include <stdio.h>
#include <string.h>

enum {
    DRAM = 0,          /* NIXL's number for host memory */
    RKEY_MEM_TYPE = 8, /* where a packed rkey has UCX's, */
    RKEY_HOST = 0,     /* and host memory's */
};

struct nxi_op_nixl {
    struct nxi_nixl_target        target;
    size_t                        n;
    unsigned                      agent_no; /* passive: the name that its ticket bears */
    char                         *key_text;
    struct nxc_desc              *theirs;
    const struct nxi_agent_desc **covers;
    struct nxi_mem              **mems;
    struct nxi_registration      *regs[]; /* NULL where there are no bytes, and after the end */
};

/* ---- our memory ------------------------------------------------------------------ */

static int hold_memory(struct nxc_op *op)
{
    struct nxi_op_nixl *x = nxi_calloc(1, sizeof *x + op->xfer.n * sizeof *x->regs);
    if (!x)
        return nxi_fail(NXC_ENOMEM, "no memory for an operation");
    op->nixl = x;
    x->n = op->xfer.n;
    for (size_t i = 0; i < x->n; i++) {
        int r = op->descs[i].len ? nxi_region_hold(op->c, &op->descs[i], &x->regs[i]) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

void nxi_op_nixl_release(struct nxc_op *op)
{
    if (!op->nixl)
        return;
    pthread_mutex_lock(&op->c->text_lock); /* a ticket may be in the making */
    for (size_t i = 0; i < op->nixl->n; i++) {
        nxi_region_release(op->c, op->nixl->regs[i]);
        op->nixl->regs[i] = NULL;
    }
    pthread_mutex_unlock(&op->c->text_lock);
}

void nxi_op_nixl_free(struct nxc_op *op)
{
    struct nxi_op_nixl *x = op->nixl;
    if (!x)
        return;
    free(x->key_text);
    free(x->theirs);
    free(x->covers);
    free(x->mems);
    free(x);
}

/* ---- passive ----------------------------------------------------------------------- */

int nxi_op_nixl_expose(struct nxc_op *op)
{
    int r = hold_memory(op);
    if (r == 0) /* after the last key was made */
        op->nixl->agent_no = atomic_load_explicit(&op->c->agent_no, memory_order_relaxed);
    return r;
}

static int compare(const void *a, const void *b)
{
    const struct nxi_agent_desc *x = a, *y = b;
    if (x->addr != y->addr)
        return x->addr < y->addr ? -1 : 1;
    return x->len < y->len ? -1 : x->len > y->len;
}

/* As NIXL writes them: in order, none twice, none without bytes. Returns how many. */
static size_t list_descs(const struct nxc_op *op, struct nxi_agent_desc *list)
{
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < op->xfer.n; i++) {
        const struct nxi_registration *g = op->nixl->regs[i];
        if (g)
            list[n++] = (struct nxi_agent_desc){ op->descs[i].addr, op->descs[i].len, 0, { g->rkey, g->rkey_len } };
    }
    qsort(list, n, sizeof *list, compare);
    for (size_t i = 0; i < n; i++)
        if (!kept || compare(&list[kept - 1], &list[i]) != 0)
            list[kept++] = list[i];
    return kept;
}

static int encode(const struct nxc_op *op, const struct nxi_agent_section *section, uint8_t **ret_blob, size_t *ret_len)
{
    const struct nxc_connector *c = op->c;
    struct nxi_agent_conn       conns[2];
    size_t                      n = 0, address_len;
    char                       *name;
    const uint8_t              *address = c->onesided->ops->onesided->address(c->onesided, &address_len);
    if (c->entry_len)
        conns[n++] = (struct nxi_agent_conn){ { (const uint8_t *)"NXC", 3 }, { c->entry, c->entry_len } };
    conns[n++] = (struct nxi_agent_conn){ { (const uint8_t *)"UCX", 3 }, { address, address_len } };
    if (asprintf(&name, "%s-%u", c->name, op->nixl->agent_no) < 0)
        return nxi_fail(NXC_ENOMEM, "no memory for a ticket");
    int r = nxi_agent_encode(name, conns, n, section, section->n != 0, ret_blob, ret_len);
    free(name);
    return r;
}

int nxi_op_nixl_blob(const struct nxc_op *op, bool hex, char **ret_text)
{
    struct nxi_agent_section section = { .backend = { (const uint8_t *)"UCX", 3 }, .mem_type = DRAM };
    uint8_t                 *blob = NULL;
    size_t                   len = 0;
    section.descs = nxi_calloc(op->xfer.n, sizeof *section.descs);
    if (!section.descs)
        return nxi_fail(NXC_ENOMEM, "no memory for a ticket");
    section.n = list_descs(op, section.descs);
    int r = encode(op, &section, &blob, &len);
    if (r == 0)
        r = nxi_blob_to_text(blob, len, hex, ret_text);
    free(blob);
    free(section.descs);
    return r;
}

/* ---- active ------------------------------------------------------------------------- */

static int find_covers(struct nxi_op_nixl *x, const struct nxc_ticket *t)
{
    const struct nxi_agent_section *section = nxi_agent_section_find(t->agent, "UCX", DRAM);
    struct nxi_cover                cover = { 0 };
    int                             r = section ? nxi_cover_init(&cover, section) : 0;
    for (size_t i = 0; r == 0 && i < x->n; i++) {
        const struct nxc_desc *d = &t->descs[i];
        if (!d->len)
            continue;
        if (d->device != NXC_HOST)
            r = nxi_fail(NXC_ENOTSUP, "descs[%zu] of the ticket: device memory of a NIXL worker can't be reached yet", i);
        else if (!section || !(x->covers[i] = nxi_cover_find(&cover, 0, d->addr, d->len)))
            r = nxi_fail(NXC_EFORMAT, "descs[%zu] of the ticket: its blob has no key for this memory", i);
        else if (x->covers[i]->meta.ptr[RKEY_MEM_TYPE] != RKEY_HOST) /* UCX takes types that it does not know */
            r = nxi_fail(NXC_EFORMAT, "descs[%zu] of the ticket: the key is for memory of another type", i);
    }
    nxi_cover_free(&cover);
    return r;
}

int nxi_op_nixl_aim(struct nxc_op *op, const struct nxc_ticket *t)
{
    int r = hold_memory(op);
    if (r < 0)
        return r;
    struct nxi_op_nixl *x = op->nixl;
    x->key_text = nxi_dup(t->key_text);
    x->theirs = nxi_calloc(x->n, sizeof *x->theirs);
    x->covers = nxi_calloc(x->n, sizeof *x->covers);
    x->mems = nxi_calloc(x->n, sizeof *x->mems);
    if (!x->key_text || !x->theirs || !x->covers || !x->mems)
        return nxi_fail(NXC_ENOMEM, "no memory for an operation");
    memcpy(x->theirs, t->descs, x->n * sizeof *x->theirs);
    for (size_t i = 0; i < x->n; i++)
        x->mems[i] = x->regs[i] ? x->regs[i]->mem : NULL;
    if ((r = find_covers(x, t)) < 0)
        return r;
    x->target = (struct nxi_nixl_target){ op->agent, x->key_text, x->theirs, x->covers, x->mems };
    op->xfer.nixl = &x->target;
    return 0;
}
