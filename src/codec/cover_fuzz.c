/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/cover.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool covers(const struct nxi_agent_desc *d, uint64_t dev, uint64_t addr, uint64_t len)
{
    return d->dev == dev && d->addr <= addr && addr - d->addr <= d->len && d->len - (addr - d->addr) >= len;
}

/* What is found is compared with a walk over all. */
static void ask(const struct nxi_cover *c, uint64_t dev, uint64_t addr, uint64_t len)
{
    const struct nxi_agent_desc *d = nxi_cover_find(c, dev, addr, len);
    if (d && !covers(d, dev, addr, len))
        abort();
    for (size_t i = 0; !d && i < c->section->n; i++) {
        if (covers(&c->section->descs[i], dev, addr, len))
            abort();
    }
}

static void ask_about_edges(const struct nxi_cover *c)
{
    const struct nxi_agent_desc *d = c->section->descs;
    size_t                       step = 1 + c->section->n / 16; /* each asks for a walk over all */
    for (size_t i = 0; i < c->section->n; i += step) {
        for (size_t j = 0; j < c->section->n; j += step) {
            ask(c, d[i].dev, d[i].addr, d[j].addr + d[j].len - d[i].addr);
            ask(c, d[i].dev, d[i].addr + d[i].len - 1, d[j].len);
        }
    }
}

/* The sections of a blob, so that they come as hostile as the reader lets them in. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nxi_agent *a;
    if (nxi_agent_decode(data, size, &a) != 0)
        return 0;
    for (size_t i = 0; i < a->n_sections; i++) {
        struct nxi_cover c;
        if (nxi_cover_init(&c, &a->sections[i]) != 0)
            abort();
        ask_about_edges(&c);
        nxi_cover_free(&c);
    }
    nxi_agent_unref(a);
    return 0;
}
