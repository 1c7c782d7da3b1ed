/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_SIM_PIPE_H
#define NXI_FABRIC_SIM_PIPE_H
/* One direction of a simulated link: bytes in order, of which the first
 * `arrived` have reached the other side. Allocates as a kernel would: what a test
 * refuses to the library is not refused here. */
#include "base/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nxi_pipe {
    size_t   len, arrived; /* bytes inside; those of them that may be taken */
    bool     shut;         /* nothing goes in any more: what is put is lost */
    bool     ended;        /* the other side knows it */
    uint8_t *bytes;
    size_t   cap, head;
};

void nxi_pipe_free(struct nxi_pipe *p);
void nxi_pipe_put(struct nxi_pipe *p, const void *bytes, size_t len);
/* Reads len bytes from the cursor, now, and moves it. */
void nxi_pipe_gather(struct nxi_pipe *p, struct nxi_cursor *from, size_t len);
/* What has arrived, to be looked at; then skip what was used. */
static inline const uint8_t *nxi_pipe_look(const struct nxi_pipe *p)
{
    return p->bytes + p->head;
}
void nxi_pipe_skip(struct nxi_pipe *p, size_t len);
/* Shuts the pipe; of what is still on its way only the first keep bytes arrive. */
void nxi_pipe_shut(struct nxi_pipe *p, size_t keep);

#endif
