/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/agent.h"

#include <string.h>

static void put_section(struct nxi_serdes_out *w, const struct nxi_agent_section *s)
{
    uint8_t type[4], head[24];
    nxi_put32(type, (uint32_t)s->mem_type);
    nxi_serdes_put_field(w, "bknd", s->backend.ptr, s->backend.len);
    nxi_serdes_put_text(w, "nixlDList", "nixlSDList");
    nxi_serdes_put_field(w, "t", type, sizeof type);
    nxi_serdes_put_u64(w, "n", s->n);
    for (size_t i = 0; i < s->n; i++) {
        const struct nxi_agent_desc *d = &s->descs[i];
        nxi_put64(head, d->addr);
        nxi_put64(head + 8, d->len);
        nxi_put64(head + 16, d->dev);
        nxi_serdes_put_head(w, "", sizeof head + d->meta.len);
        nxi_serdes_put(w, head, sizeof head);
        nxi_serdes_put(w, d->meta.ptr, d->meta.len);
        nxi_serdes_put(w, "|", 1);
    }
}

static void put_agent(struct nxi_serdes_out *w, const char *name, const struct nxi_agent_conn *conns, size_t n_conns,
                      const struct nxi_agent_section *sections, size_t n_sections)
{
    nxi_serdes_put(w, NXI_SERDES_MAGIC, strlen(NXI_SERDES_MAGIC));
    nxi_serdes_put_text(w, "Agent", name);
    nxi_serdes_put_u64(w, "Conns", n_conns);
    for (size_t i = 0; i < n_conns; i++) {
        nxi_serdes_put_field(w, "t", conns[i].backend.ptr, conns[i].backend.len);
        nxi_serdes_put_field(w, "c", conns[i].info.ptr, conns[i].info.len);
    }
    nxi_serdes_put_text(w, "", "MemSection");
    nxi_serdes_put_u64(w, "nixlSecElms", n_sections);
    for (size_t i = 0; i < n_sections; i++)
        put_section(w, &sections[i]);
}

int nxi_agent_encode(const char *name, const struct nxi_agent_conn *conns, size_t n_conns,
                     const struct nxi_agent_section *sections, size_t n_sections, uint8_t **ret_blob, size_t *ret_len)
{
    struct nxi_serdes_out w = { 0 };
    put_agent(&w, name, conns, n_conns, sections, n_sections);
    if (w.at > NXI_AGENT_MAX)
        return nxi_fail(NXC_ELIMIT, "metadata of %zu bytes, at most %d", w.at, NXI_AGENT_MAX);
    if (!(w.buf = nxi_malloc(w.at)))
        return nxi_fail(NXC_ENOMEM, "no memory for metadata of %zu bytes", w.at);
    w.at = 0;
    put_agent(&w, name, conns, n_conns, sections, n_sections);
    *ret_blob = w.buf;
    *ret_len = w.at;
    return 0;
}
