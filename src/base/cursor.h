/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_CURSOR_H
#define NXI_BASE_CURSOR_H
/* A place in the bytes of several descriptors, laid end to end: what a fabric
 * gathers a payload from or scatters it to. */
#include <nxconnect/nxconnect.h>
#include <stdbool.h>
#include <sys/uio.h>

struct nxi_cursor {
    const struct nxc_desc *descs; /* NULL: scrap, what is written there is thrown away */
    size_t                 n;     /* descriptors from here on, descs[0] the current one */
    uint64_t               off;   /* inside descs[0] */
};

static inline struct nxi_cursor nxi_cursor_at(const struct nxc_desc *descs, size_t n)
{
    return (struct nxi_cursor){ descs, n, 0 };
}

/* Up to max stretches that cover the next len bytes (or fewer, if max or the
 * end comes first). Does not move. Returns how many; *ret_len is their sum. */
size_t nxi_cursor_iov(const struct nxi_cursor *c, uint64_t len, struct iovec *iov, size_t max, uint64_t *ret_len);
/* Moves on by len bytes; at most to the end. */
void nxi_cursor_skip(struct nxi_cursor *c, uint64_t len);
/* Copy len bytes and move. The caller has made sure that so many are left; to a
 * scrap cursor nothing is written, from one zeros are read. */
void nxi_cursor_write(struct nxi_cursor *c, const void *src, size_t len);
void nxi_cursor_read(struct nxi_cursor *c, void *dst, size_t len);

#endif
