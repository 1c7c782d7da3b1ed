/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/agent.h"

#include <string.h>

/* With buf NULL it only counts, so that one function says both how long a blob
 * gets and what is in it. */
struct writer {
    uint8_t *buf;
    size_t   at;
};

static void put(struct writer *w, const void *data, size_t len)
{
    if (w->buf && len)
        memcpy(w->buf + w->at, data, len);
    w->at += len;
}

static void put_head(struct writer *w, const char *tag, size_t len)
{
    uint8_t size[8];
    nxi_put64(size, len);
    put(w, tag, strlen(tag));
    put(w, size, sizeof size);
}

static void put_field(struct writer *w, const char *tag, const void *data, size_t len)
{
    put_head(w, tag, len);
    put(w, data, len);
    put(w, "|", 1);
}

static void put_text(struct writer *w, const char *tag, const char *text)
{
    put_field(w, tag, text, strlen(text));
}

static void put_u64(struct writer *w, const char *tag, uint64_t value)
{
    uint8_t bytes[8];
    nxi_put64(bytes, value);
    put_field(w, tag, bytes, sizeof bytes);
}

static void put_section(struct writer *w, const struct nxi_agent_section *s)
{
    uint8_t type[4], head[24];
    nxi_put32(type, (uint32_t)s->mem_type);
    put_field(w, "bknd", s->backend.ptr, s->backend.len);
    put_text(w, "nixlDList", "nixlSDList");
    put_field(w, "t", type, sizeof type);
    put_u64(w, "n", s->n);
    for (size_t i = 0; i < s->n; i++) {
        const struct nxi_agent_desc *d = &s->descs[i];
        nxi_put64(head, d->addr);
        nxi_put64(head + 8, d->len);
        nxi_put64(head + 16, d->dev);
        put_head(w, "", sizeof head + d->meta.len);
        put(w, head, sizeof head);
        put(w, d->meta.ptr, d->meta.len);
        put(w, "|", 1);
    }
}

static void put_agent(struct writer *w, const char *name, const struct nxi_agent_conn *conns, size_t n_conns,
                      const struct nxi_agent_section *sections, size_t n_sections)
{
    put(w, "nixlSerDes|", strlen("nixlSerDes|"));
    put_text(w, "Agent", name);
    put_u64(w, "Conns", n_conns);
    for (size_t i = 0; i < n_conns; i++) {
        put_field(w, "t", conns[i].backend.ptr, conns[i].backend.len);
        put_field(w, "c", conns[i].info.ptr, conns[i].info.len);
    }
    put_text(w, "", "MemSection");
    put_u64(w, "nixlSecElms", n_sections);
    for (size_t i = 0; i < n_sections; i++)
        put_section(w, &sections[i]);
}

int nxi_agent_encode(const char *name, const struct nxi_agent_conn *conns, size_t n_conns,
                     const struct nxi_agent_section *sections, size_t n_sections, uint8_t **ret_blob, size_t *ret_len)
{
    struct writer w = { 0 };
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
