/* SPDX-License-Identifier: Apache-2.0 */
/* A ring full of a hostile writer's bytes: nothing is read or written outside. */
#include "fabric/shm_ring.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum { REACH = 32 << 10 }; /* bytes before and behind the ring's end that are filled: the reader starts there */

static void fill(uint8_t *at, const uint8_t *data, size_t size)
{
    memset(at, 0, REACH);
    memcpy(at, data, size < REACH ? size : REACH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t        *ring;
    _Atomic uint32_t       head = 0;
    uint8_t                to[4096];
    struct nxc_desc        desc = nxc_desc_host(to, sizeof to);
    struct nxi_cursor      cursor = nxi_cursor_at(&desc, 1);
    struct nxi_ring_record record;
    if (!ring && !(ring = aligned_alloc(64, NXI_RING_BYTES))) /* of the ring's size exactly, for the sanitizer */
        return 0;
    fill(ring + NXI_RING_BYTES - REACH, data, size / 2);
    fill(ring, data + size / 2, size - size / 2);
    struct nxi_ring_reader r = nxi_ring_reader_at(ring, &head);
    r.at = NXI_RING_BYTES - REACH;
    for (int i = 0; i < 200 && nxi_ring_next(&r, &record) == 1; i++)
        nxi_ring_take(&r, &record, &cursor);
    return 0;
}
