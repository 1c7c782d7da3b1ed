/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/agent.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/rkey.h"
#include "codec/text.h"
#include "codec/ucx_address.h"

#include <stdio.h>
#include <string.h>

enum {
    AGENT_NAME_MAX = 1024,
    CONNS_MAX = 64,               /* NIXL has a dozen backends */
    SECTIONS_MAX = 5 * CONNS_MAX, /* one per backend and memory type */
    MEM_TYPES = 5,

    /* The least that an element of a list takes in the blob. */
    FIELD = NXI_SERDES_FIELD,
    CONN_LEAST = (1 + FIELD + 1) + (1 + FIELD + 1),
    SECTION_LEAST = (4 + FIELD + 1) + (9 + FIELD + 10) + (1 + FIELD + 4) + (1 + FIELD + 8),
    DESC_HEAD = 24,
    DESC_LEAST = FIELD + DESC_HEAD,
};

/* How many elements follow. None is allocated that could not be in the blob. */
static int take_count(struct nxi_serdes *r, const char *tag, size_t least, size_t max, size_t *ret)
{
    const uint8_t *p = NULL;
    int            e = nxi_serdes_take_fixed(r, tag, tag, 8, &p);
    if (e < 0)
        return e;
    uint64_t n = nxi_get64(p);
    if (n > (r->len - r->at) / least)
        return nxi_serdes_bad(r, "is %llu, too many for the %zu bytes left", (unsigned long long)n, r->len - r->at);
    if (n > max)
        return nxi_serdes_bad(r, "is %llu, at most %zu", (unsigned long long)n, max);
    *ret = n;
    return 0;
}

static int take_backend(struct nxi_serdes *r, const char *tag, struct nxi_span *ret)
{
    int e = nxi_serdes_take(r, tag, tag, ret);
    return e < 0 ? e : ret->len ? 0 : nxi_serdes_bad(r, "is empty");
}

/* What another codec found inside of a field, with the field and its position. */
static int placed(const struct nxi_serdes *r, int e)
{
    char text[128];
    if (e != NXC_EFORMAT)
        return e;
    snprintf(text, sizeof text, "%s", nxc_err_detail());
    return nxi_serdes_bad(r, "%s", text);
}

static bool same(const struct nxi_span *a, const struct nxi_span *b)
{
    return a->len == b->len && !memcmp(a->ptr, b->ptr, a->len);
}

static int read_name(struct nxi_serdes *r, struct nxi_agent *a)
{
    struct nxi_span s;
    int             e = nxi_serdes_take(r, "Agent", "Agent", &s);
    if (e < 0)
        return e;
    if (!s.len)
        return nxi_serdes_bad(r, "is empty");
    if (s.len > AGENT_NAME_MAX)
        return nxi_serdes_bad(r, "has %zu bytes, at most %d", s.len, AGENT_NAME_MAX);
    if (memchr(s.ptr, 0, s.len) || !nxi_utf8_valid((const char *)s.ptr, s.len))
        return nxi_serdes_bad(r, "is not UTF-8 text");
    /* The copy is ours, and the '|' after the name has been checked: it becomes
     * the NUL that makes a string of it. */
    a->name = (char *)s.ptr;
    a->name[s.len] = '\0';
    return 0;
}

static int read_native(struct nxi_serdes *r, const struct nxi_span *info, struct nxi_agent *a)
{
    int e = nxi_entry_decode(info->ptr, info->len, &a->native);
    a->has_native = true;
    if (e == NXC_EVERSION) {
        a->native_err = e;
        return 0;
    }
    return placed(r, e);
}

static int read_conn(struct nxi_serdes *r, struct nxi_agent *a)
{
    struct nxi_agent_conn *c = &a->conns[r->index];
    int                    e = take_backend(r, "t", &c->backend);
    if (e < 0)
        return e;
    for (size_t i = 0; i < r->index; i++) {
        if (same(&a->conns[i].backend, &c->backend))
            return nxi_serdes_bad(r, "is the backend of Conns[%zu] again", i);
    }
    if ((e = nxi_serdes_take(r, "c", "c", &c->info)) < 0)
        return e;
    if (!c->info.len)
        return nxi_serdes_bad(r, "is empty");
    if (nxi_span_is(&c->backend, "NXC"))
        return read_native(r, &c->info, a);
    return nxi_span_is(&c->backend, "UCX") ? placed(r, nxi_ucx_address_check(c->info.ptr, c->info.len)) : 0;
}

static int read_conns(struct nxi_serdes *r, struct nxi_agent *a)
{
    size_t n;
    int    e = take_count(r, "Conns", CONN_LEAST, CONNS_MAX, &n);
    if (e < 0 || !n)
        return e;
    if (!(a->conns = nxi_calloc(n, sizeof *a->conns)))
        return nxi_fail(NXC_ENOMEM, "no memory for %zu connections", n);
    a->n_conns = n;
    r->list = "Conns";
    for (r->index = 0; e == 0 && r->index < n; r->index++)
        e = read_conn(r, a);
    r->list = NULL;
    return e;
}

static int read_desc(struct nxi_serdes *r, const struct nxi_agent_section *sec, struct nxi_agent_desc *d)
{
    struct nxi_span s;
    uint64_t        end;
    int             e = nxi_serdes_take(r, "", "descs", &s);
    if (e < 0)
        return e;
    if (s.len < DESC_HEAD)
        return nxi_serdes_bad(r, "has %zu bytes, at least %d", s.len, DESC_HEAD);
    d->addr = nxi_get64(s.ptr);
    d->len = nxi_get64(s.ptr + 8);
    d->dev = nxi_get64(s.ptr + 16);
    d->meta = (struct nxi_span){ s.ptr + DESC_HEAD, s.len - DESC_HEAD };
    if (!d->len)
        return nxi_serdes_bad(r, "len is 0");
    if (__builtin_add_overflow(d->addr, d->len, &end))
        return nxi_serdes_bad(r, "addr + len wraps around");
    return nxi_span_is(&sec->backend, "UCX") ? placed(r, nxi_rkey_check(d->meta.ptr, d->meta.len)) : 0;
}

static int compare_descs(const void *a, const void *b)
{
    const struct nxi_agent_desc *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    if (x->addr != y->addr)
        return x->addr < y->addr ? -1 : 1;
    return x->len < y->len ? -1 : x->len > y->len;
}

/* NIXL writes descriptors in order; who does not gets them sorted, so that
 * twins are neighbours. Which of two rkeys for one buffer would be right? */
static int sort_descs(const struct nxi_serdes *r, struct nxi_agent_section *sec)
{
    bool sorted = true;
    for (size_t i = 1; sorted && i < sec->n; i++)
        sorted = compare_descs(&sec->descs[i - 1], &sec->descs[i]) < 0;
    if (sorted)
        return 0;
    qsort(sec->descs, sec->n, sizeof *sec->descs, compare_descs);
    for (size_t i = 1; i < sec->n; i++) {
        const struct nxi_agent_desc *d = &sec->descs[i];
        if (compare_descs(d - 1, d) == 0)
            return nxi_serdes_bad(r, "addr %#llx, len %llu, dev %llu is there twice", (unsigned long long)d->addr,
                       (unsigned long long)d->len, (unsigned long long)d->dev);
    }
    return 0;
}

static int read_section_head(struct nxi_serdes *r, struct nxi_agent *a, struct nxi_agent_section *sec)
{
    struct nxi_span list;
    const uint8_t  *p = NULL;
    int             e = take_backend(r, "bknd", &sec->backend);
    if (e < 0 || (e = nxi_serdes_take(r, "nixlDList", "nixlDList", &list)) < 0)
        return e;
    if (!nxi_span_is(&list, "nixlSDList"))
        return nxi_serdes_bad(r, "is not nixlSDList");
    if ((e = nxi_serdes_take_fixed(r, "t", "t", 4, &p)) < 0)
        return e;
    if (nxi_get32(p) >= MEM_TYPES)
        return nxi_serdes_bad(r, "is memory type %d", (int32_t)nxi_get32(p));
    sec->mem_type = (int32_t)nxi_get32(p);
    for (size_t i = 0; i < r->index; i++) {
        if (a->sections[i].mem_type == sec->mem_type && same(&a->sections[i].backend, &sec->backend))
            return nxi_serdes_bad(r, "is the memory type of nixlSecElms[%zu] again", i);
    }
    if (r->at < r->len && r->bytes[r->at] == 's') { /* up to 0.5.x: 1 if sorted */
        if ((e = nxi_serdes_take_fixed(r, "s", "s", 1, &p)) < 0)
            return e;
        if (*p > 1)
            return nxi_serdes_bad(r, "is %u, neither 0 nor 1", *p);
    }
    if ((e = take_count(r, "n", DESC_LEAST, SIZE_MAX, &sec->n)) < 0)
        return e;
    return sec->n ? 0 : nxi_serdes_bad(r, "is 0");
}

static int read_section(struct nxi_serdes *r, struct nxi_agent *a)
{
    struct nxi_agent_section *sec = &a->sections[r->index];
    int                       e = read_section_head(r, a, sec);
    if (e < 0)
        return e;
    if (!(sec->descs = nxi_calloc(sec->n, sizeof *sec->descs)))
        return nxi_fail(NXC_ENOMEM, "no memory for %zu descriptors", sec->n);
    for (r->elem = 0; e == 0 && r->elem < sec->n; r->elem++)
        e = read_desc(r, sec, &sec->descs[r->elem]);
    r->elem = NXI_SERDES_NO_ELEM;
    return e < 0 ? e : sort_descs(r, sec);
}

static int read_sections(struct nxi_serdes *r, struct nxi_agent *a)
{
    struct nxi_span s;
    size_t          n;
    int             e = nxi_serdes_take(r, "", "MemSection", &s);
    if (e < 0)
        return e;
    if (!nxi_span_is(&s, "MemSection"))
        return nxi_serdes_bad(r, "is missing");
    if ((e = take_count(r, "nixlSecElms", SECTION_LEAST, SECTIONS_MAX, &n)) < 0)
        return e;
    if (!n)
        return a->n_conns ? 0 : nxi_serdes_bad(r, "is 0, and so is Conns");
    if (!(a->sections = nxi_calloc(n, sizeof *a->sections)))
        return nxi_fail(NXC_ENOMEM, "no memory for %zu sections", n);
    a->n_sections = n;
    r->list = "nixlSecElms";
    for (r->index = 0; e == 0 && r->index < n; r->index++)
        e = read_section(r, a);
    r->list = NULL;
    return e;
}

int nxi_agent_decode(const uint8_t *blob, size_t len, struct nxi_agent **ret_a)
{
    struct nxi_serdes r;
    int               e = nxi_serdes_open(&r, blob, len, "the blob");
    if (e < 0)
        return e;
    if (len > NXI_AGENT_MAX)
        return nxi_fail(NXC_EFORMAT, "the blob has %zu bytes, at most %d", len, NXI_AGENT_MAX);
    /* The copy lies behind the agent, and all spans point into it. */
    struct nxi_agent *a = nxi_malloc(sizeof *a + len);
    if (!a)
        return nxi_fail(NXC_ENOMEM, "no memory for metadata of %zu bytes", len);
    memset(a, 0, sizeof *a);
    atomic_init(&a->refs, 1);
    r.bytes = memcpy(a + 1, blob, len);
    if ((e = read_name(&r, a)) < 0 || (e = read_conns(&r, a)) < 0 || (e = read_sections(&r, a)) < 0 ||
        (e = nxi_serdes_end(&r)) < 0)
        goto fail;
    *ret_a = a;
    return 0;
fail:
    nxi_agent_unref(a);
    return e;
}

const struct nxi_agent_conn *nxi_agent_conn_find(const struct nxi_agent *a, const char *backend)
{
    for (size_t i = 0; i < a->n_conns; i++) {
        if (nxi_span_is(&a->conns[i].backend, backend))
            return &a->conns[i];
    }
    return NULL;
}

const struct nxi_agent_section *nxi_agent_section_find(const struct nxi_agent *a, const char *backend,
                                                       int32_t mem_type)
{
    for (size_t i = 0; i < a->n_sections; i++) {
        if (a->sections[i].mem_type == mem_type && nxi_span_is(&a->sections[i].backend, backend))
            return &a->sections[i];
    }
    return NULL;
}

struct nxi_agent *nxi_agent_ref(struct nxi_agent *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void nxi_agent_unref(struct nxi_agent *a)
{
    if (!a || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < a->n_sections; i++)
        free(a->sections[i].descs);
    free(a->sections);
    free(a->conns);
    free(a);
}
