/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_COVER_H
#define NXI_CODEC_COVER_H
/* Which descriptor of a blob's section covers a piece of memory: in O(log n),
 * also when descriptors overlap and nest, since both come from a peer. */
#include "codec/agent.h"

struct nxi_cover {
    const struct nxi_agent_section *section;
    uint32_t                       *furthest; /* one index for each descriptor */
};

/* The section stays the caller's, and there for as long as the cover is used.
 * NXC_ENOMEM. */
int  nxi_cover_init(struct nxi_cover *c, const struct nxi_agent_section *section);
void nxi_cover_free(struct nxi_cover *c); /* takes one that is all zero */

/* One descriptor that has all of [addr, addr + len) of the device; NULL if there
 * is none. No bytes (len 0) need no cover: do not ask. */
const struct nxi_agent_desc *nxi_cover_find(const struct nxi_cover *c, uint64_t dev, uint64_t addr, uint64_t len);

#endif
