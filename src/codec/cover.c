/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/cover.h"

#include "base/error.h"
#include "base/mem.h"

/* furthest[i] is the one of the device's descriptors up to i that ends last. A
 * piece can only be covered by one that begins at its address or before; among
 * those, if any covers it, this one does. */
int nxi_cover_init(struct nxi_cover *c, const struct nxi_agent_section *section)
{
    const struct nxi_agent_desc *d = section->descs;
    uint32_t                    *furthest = nxi_calloc(section->n, sizeof *furthest);
    if (!furthest)
        return nxi_fail(NXC_ENOMEM, "no memory to look up %zu descriptors", section->n);
    for (uint32_t i = 1; i < section->n; i++) {
        const struct nxi_agent_desc *best = &d[furthest[i - 1]];
        bool                         beyond = d[i].dev != best->dev || d[i].addr + d[i].len > best->addr + best->len;
        furthest[i] = beyond ? i : furthest[i - 1];
    }
    *c = (struct nxi_cover){ section, furthest };
    return 0;
}

void nxi_cover_free(struct nxi_cover *c)
{
    free(c->furthest);
    *c = (struct nxi_cover){ 0 };
}

const struct nxi_agent_desc *nxi_cover_find(const struct nxi_cover *c, uint64_t dev, uint64_t addr, uint64_t len)
{
    const struct nxi_agent_desc *d = c->section->descs;
    size_t                       low = 0, high = c->section->n;
    /* After this, low counts the descriptors that begin at dev, addr or before. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d[middle].dev < dev || (d[middle].dev == dev && d[middle].addr <= addr))
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || d[low - 1].dev != dev)
        return NULL;
    d += c->furthest[low - 1];
    /* In this form nothing wraps around: d begins at addr or before. */
    return addr - d->addr <= d->len && len <= d->len - (addr - d->addr) ? d : NULL;
}
