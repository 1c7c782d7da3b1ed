/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/shm_ring.h"

#include "base/error.h"

#include <assert.h>
#include <string.h>

enum {
    WORD = sizeof(uint32_t),
    LEFT_BITS = 24,
    /* A payload longer than this begins on a line of its own: large copies want aligned ends. */
    PACKED_MAX = 512,
    AHEAD = 4 * NXI_RING_LINE,
};

_Static_assert(NXI_RING_PAYLOAD_MAX < 1 << LEFT_BITS, "left must fit into the word");
_Static_assert(NXI_RING_BYTES >= 4 * NXI_RING_PAYLOAD_MAX, "a ring must hold several frames");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "atomics between processes must not need locks");

static uint32_t lines(size_t len)
{
    return (uint32_t)(len + NXI_RING_LINE - 1) & ~(uint32_t)(NXI_RING_LINE - 1);
}

static uint32_t part_of(size_t left)
{
    return left < NXI_RING_PART ? (uint32_t)left : NXI_RING_PART;
}

static uint32_t body_of(size_t header_len, size_t left)
{
    size_t body = WORD + header_len;
    return left > PACKED_MAX ? lines(body) : (uint32_t)body;
}

uint32_t nxi_ring_need(size_t header_len, size_t payload_len)
{
    uint32_t need = lines(body_of(header_len, payload_len) + part_of(payload_len));
    for (size_t left = payload_len - part_of(payload_len); left; left -= part_of(left))
        need += lines(body_of(0, left) + part_of(left));
    return need;
}

/* Bytes from `at` to the end of the ring, at most len. */
static size_t straight(uint32_t at, size_t len)
{
    size_t to_end = NXI_RING_BYTES - (at & (NXI_RING_BYTES - 1));
    return len < to_end ? len : to_end;
}

static uint32_t masked(uint32_t at)
{
    return at & (NXI_RING_BYTES - 1);
}

static _Atomic uint32_t *word_at(const struct nxi_ring_writer *w, uint32_t at)
{
    return (_Atomic uint32_t *)nxi_ring_word(w->data, at);
}

int nxi_ring_room(struct nxi_ring_writer *w, uint32_t need)
{
    /* Some lines more than the frame needs: the word behind it is cleared, and the reader
     * keeps a distance from the lines that are fetched ahead. */
    if (need + AHEAD <= NXI_RING_BYTES - (w->tail - w->seen))
        return 1;
    uint32_t head = atomic_load_explicit(w->head, memory_order_acquire);
    /* The head may only have moved forward, not past what was written, by whole lines. */
    if (head - w->seen > w->tail - w->seen || head % NXI_RING_LINE)
        return nxi_fail(NXC_EPEER, "the peer broke the ring: its place is impossible");
    w->seen = head;
    return need + AHEAD <= NXI_RING_BYTES - (w->tail - w->seen);
}

static void commit(struct nxi_ring_writer *w, uint32_t word, uint32_t size)
{
    _Atomic uint32_t *here = word_at(w, w->tail);
    w->tail += size;
    atomic_store_explicit(word_at(w, w->tail), 0, memory_order_relaxed);
    atomic_store_explicit(here, word, memory_order_release);
    /* Lines of later frames are fetched now, while the reader is busy: that costs as
     * much as the hand-over, and the next small frame finds it done. Asked for and not
     * written to, since a store that waits for its line holds up every locked instruction. */
    __builtin_prefetch(word_at(w, w->tail + 2 * NXI_RING_LINE), 1);
    __builtin_prefetch(word_at(w, w->tail + 3 * NXI_RING_LINE), 1);
}

static void gather(struct nxi_ring_writer *w, uint32_t at, struct nxi_cursor *from, size_t len)
{
    size_t first = straight(at, len);
    nxi_cursor_read(from, w->data + masked(at), first);
    if (first < len)
        nxi_cursor_read(from, w->data, len - first);
}

int nxi_ring_put(struct nxi_ring_writer *w, const void *header, size_t header_len, struct nxi_cursor *payload,
                 size_t payload_len)
{
    assert(header_len && header_len <= NXI_RING_HEADER_MAX && payload_len <= NXI_RING_PAYLOAD_MAX);
    int r = nxi_ring_room(w, nxi_ring_need(header_len, payload_len));
    if (r <= 0)
        return r < 0 ? r : NXC_EAGAIN;
    size_t first = straight(w->tail + WORD, header_len);
    memcpy(w->data + masked(w->tail) + WORD, header, first);
    memcpy(w->data, (const uint8_t *)header + first, header_len - first);
    for (size_t left = payload_len;; header_len = 0) {
        uint32_t body = body_of(header_len, left), part = part_of(left);
        if (part)
            gather(w, w->tail + body, payload, part);
        commit(w, (uint32_t)(header_len << LEFT_BITS | left), lines(body + part));
        left -= part;
        if (!left)
            return 0;
    }
}

int nxi_ring_next(struct nxi_ring_reader *r, struct nxi_ring_record *ret_record)
{
    uint32_t word = atomic_load_explicit(nxi_ring_word(r->data, r->at), memory_order_acquire);
    if (!word)
        return 0;
    uint32_t header_len = word >> LEFT_BITS, left = word & ((1u << LEFT_BITS) - 1);
    bool     good = r->left ? !header_len && left == r->left
                            : header_len && header_len <= NXI_RING_HEADER_MAX && left <= NXI_RING_PAYLOAD_MAX;
    if (!good)
        return nxi_fail(NXC_EPEER, "the peer broke the ring: impossible lengths");
    size_t first = straight(r->at + WORD, header_len);
    memcpy(ret_record->header, r->data + masked(r->at) + WORD, first);
    memcpy(ret_record->header + first, r->data, header_len - first);
    ret_record->header_len = header_len;
    ret_record->left = left;
    ret_record->body = body_of(header_len, left);
    ret_record->part = part_of(left);
    return 1;
}

void nxi_ring_take(struct nxi_ring_reader *r, const struct nxi_ring_record *record, struct nxi_cursor *to)
{
    uint32_t at = r->at + record->body;
    size_t   first = straight(at, record->part);
    if (record->part) {
        nxi_cursor_write(to, r->data + masked(at), first);
        nxi_cursor_write(to, r->data, record->part - first);
    }
    r->left = record->left - record->part;
    r->at += lines(record->body + record->part);
    atomic_store_explicit(r->head, r->at, memory_order_release);
}
