/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/serdes.h"

#include "base/bytes.h"
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAGIC = sizeof NXI_SERDES_MAGIC - 1 };

int nxi_serdes_bad(const struct nxi_serdes *r, const char *format, ...)
{
    char    where[64] = "", elem[32] = "", problem[128];
    va_list args;
    va_start(args, format);
    vsnprintf(problem, sizeof problem, format, args);
    va_end(args);
    if (r->list)
        snprintf(where, sizeof where, "%s[%zu].", r->list, r->index);
    if (r->elem != NXI_SERDES_NO_ELEM)
        snprintf(elem, sizeof elem, "[%zu]", r->elem);
    return nxi_fail(NXC_EFORMAT, "%s%s%s: %s, at byte %zu of %s", where, r->field, elem, problem, r->start, r->what);
}

int nxi_serdes_open(struct nxi_serdes *r, const uint8_t *bytes, size_t len, const char *what)
{
    *r = (struct nxi_serdes){ .bytes = bytes, .len = len, .what = what, .field = "magic", .elem = NXI_SERDES_NO_ELEM };
    if (len < MAGIC || memcmp(bytes, NXI_SERDES_MAGIC, MAGIC) != 0)
        return nxi_serdes_bad(r, "is missing");
    r->at = MAGIC;
    return 0;
}

int nxi_serdes_take(struct nxi_serdes *r, const char *tag, const char *field, struct nxi_span *ret)
{
    size_t         t = strlen(tag), left = r->len - r->at;
    const uint8_t *p = r->bytes + r->at;
    r->field = field;
    r->start = r->at;
    if (memcmp(p, tag, left < t ? left : t) != 0)
        return nxi_serdes_bad(r, "is missing");
    if (left < t + 8)
        return nxi_serdes_bad(r, "is cut off");
    uint64_t n = nxi_get64(p + t);
    left -= t + 8;
    if (n >= left) /* not n + 1 > left, which wraps */
        return nxi_serdes_bad(r, "has %llu bytes, %zu are left", (unsigned long long)n, left);
    p += t + 8;
    if (p[n] != '|')
        return nxi_serdes_bad(r, "does not end with '|'");
    *ret = (struct nxi_span){ p, n };
    r->at += t + 8 + n + 1;
    return 0;
}

int nxi_serdes_take_fixed(struct nxi_serdes *r, const char *tag, const char *field, size_t size, const uint8_t **ret)
{
    struct nxi_span s = { 0 };
    int             e = nxi_serdes_take(r, tag, field, &s);
    if (e < 0)
        return e;
    if (s.len != size)
        return nxi_serdes_bad(r, "has %zu bytes and not %zu", s.len, size);
    *ret = s.ptr;
    return 0;
}

int nxi_serdes_end(const struct nxi_serdes *r)
{
    if (r->at == r->len)
        return 0;
    return nxi_fail(NXC_EFORMAT, "the end: %zu bytes too many, at byte %zu of %s", r->len - r->at, r->at, r->what);
}

void nxi_serdes_put(struct nxi_serdes_out *w, const void *data, size_t len)
{
    if (w->buf && len)
        memcpy(w->buf + w->at, data, len);
    w->at += len;
}

void nxi_serdes_put_head(struct nxi_serdes_out *w, const char *tag, size_t len)
{
    uint8_t size[8];
    nxi_put64(size, len);
    nxi_serdes_put(w, tag, strlen(tag));
    nxi_serdes_put(w, size, sizeof size);
}

void nxi_serdes_put_field(struct nxi_serdes_out *w, const char *tag, const void *data, size_t len)
{
    nxi_serdes_put_head(w, tag, len);
    nxi_serdes_put(w, data, len);
    nxi_serdes_put(w, "|", 1);
}

void nxi_serdes_put_text(struct nxi_serdes_out *w, const char *tag, const char *text)
{
    nxi_serdes_put_field(w, tag, text, strlen(text));
}

void nxi_serdes_put_u64(struct nxi_serdes_out *w, const char *tag, uint64_t value)
{
    uint8_t bytes[8];
    nxi_put64(bytes, value);
    nxi_serdes_put_field(w, tag, bytes, sizeof bytes);
}
