/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include <string.h>

size_t nxi_cursor_iov(const struct nxi_cursor *c, uint64_t len, struct iovec *iov, size_t max, uint64_t *ret_len)
{
    uint64_t sum = 0, off = c->off;
    size_t   used = 0;
    for (size_t i = 0; c->descs && i < c->n && used < max && sum < len; i++, off = 0) {
        uint64_t here = c->descs[i].len - off;
        if (here > len - sum)
            here = len - sum;
        if (!here)
            continue;
        iov[used].iov_base = (void *)(uintptr_t)(c->descs[i].addr + off);
        iov[used++].iov_len = here;
        sum += here;
    }
    *ret_len = sum;
    return used;
}

void nxi_cursor_skip(struct nxi_cursor *c, uint64_t len)
{
    while (c->descs && c->n) {
        uint64_t here = c->descs->len - c->off;
        if (len < here) {
            c->off += len;
            return;
        }
        len -= here;
        c->descs++;
        c->n--;
        c->off = 0;
    }
}

/* The next stretch of at most len bytes; NULL at the end and in scrap. */
static void *stretch(struct nxi_cursor *c, size_t len, size_t *ret_len)
{
    while (c->descs && c->n && c->off == c->descs->len) {
        c->descs++;
        c->n--;
        c->off = 0;
    }
    if (!c->descs || !c->n)
        return NULL;
    uint64_t here = c->descs->len - c->off;
    void    *at = (void *)(uintptr_t)(c->descs->addr + c->off);
    *ret_len = here < len ? here : len;
    c->off += *ret_len;
    return at;
}

void nxi_cursor_write(struct nxi_cursor *c, const void *src, size_t len)
{
    void  *to;
    size_t part;
    for (; len && (to = stretch(c, len, &part)); len -= part, src = (const char *)src + part)
        memcpy(to, src, part);
}

void nxi_cursor_read(struct nxi_cursor *c, void *dst, size_t len)
{
    void  *from;
    size_t part;
    for (; len && (from = stretch(c, len, &part)); len -= part, dst = (char *)dst + part)
        memcpy(dst, from, part);
    memset(dst, 0, len);
}
