/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_OP_NIXL_H
#define NXI_OP_NIXL_H
/* What an operation has because of NIXL workers: its memory is registered while it
 * runs; if passive, its ticket tells the keys; if active, it knows the worker's. */
#include "op.h"

/* Passive, on a connector that admits them: any NIXL worker may use its ticket. */
int nxi_op_nixl_expose(struct nxc_op *op);
/* Active, with such a worker. NXC_EFORMAT when the ticket's memory is not what its blob has keys for. */
int nxi_op_nixl_aim(struct nxc_op *op, const struct nxc_ticket *t);
/* The blob of its ticket as text; the caller's to free(). Under c->text_lock. */
int nxi_op_nixl_blob(const struct nxc_op *op, bool hex, char **ret_text);
/* At its end: its memory is not registered any more, unless a region does. */
void nxi_op_nixl_release(struct nxc_op *op);
void nxi_op_nixl_free(struct nxc_op *op); /* takes one that has nothing */

#endif
