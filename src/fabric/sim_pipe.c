/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/sim_pipe.h"

#include <stdlib.h>
#include <string.h>

void nxi_pipe_free(struct nxi_pipe *p)
{
    free(p->bytes);
    *p = (struct nxi_pipe){ 0 };
}

/* Room for len bytes behind the last one. */
static uint8_t *make_room(struct nxi_pipe *p, size_t len)
{
    if (p->head + p->len + len > p->cap) {
        if (p->len)
            memmove(p->bytes, p->bytes + p->head, p->len);
        p->head = 0;
        if (p->len + len > p->cap) {
            p->cap = (p->len + len) * 2;
            p->bytes = realloc(p->bytes, p->cap);
            if (!p->bytes)
                abort();
        }
    }
    uint8_t *at = p->bytes + p->head + p->len;
    p->len += len;
    return at;
}

void nxi_pipe_put(struct nxi_pipe *p, const void *bytes, size_t len)
{
    if (!p->shut && len)
        memcpy(make_room(p, len), bytes, len);
}

void nxi_pipe_gather(struct nxi_pipe *p, struct nxi_cursor *from, size_t len)
{
    if (p->shut)
        nxi_cursor_skip(from, len);
    else if (len)
        nxi_cursor_read(from, make_room(p, len), len);
}

void nxi_pipe_skip(struct nxi_pipe *p, size_t len)
{
    p->head += len;
    p->len -= len;
    p->arrived -= len;
    if (!p->len)
        p->head = 0;
}

void nxi_pipe_shut(struct nxi_pipe *p, size_t keep)
{
    p->shut = true;
    if (keep < p->len - p->arrived)
        p->len = p->arrived + keep;
}
