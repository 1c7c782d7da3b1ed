/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_SHM_RING_H
#define NXI_FABRIC_SHM_RING_H
/*
 * One direction of a shared memory link: a ring of bytes with one writer and
 * one reader, in memory that both have mapped. Pure memory: no system calls.
 *
 * A frame is one record, or a first record and further ones for the rest of a
 * large payload, so that the reader copies one part while the writer copies the
 * next. A record begins on a cache line with its commit word:
 *
 *   u32  header length << 24 | payload bytes of the frame from this record on
 *   header (first record only), then up to NXI_RING_PART bytes of payload
 *
 * The word is 0 until the record is whole. So the reader looks at one line, and a small
 * frame costs the hand-over of that line and nothing else. Before the writer commits a record it
 * has cleared the word of the next: old payload must not be taken for a record.
 *
 * The only index that is shared is the reader's head, which tells the writer
 * what is free. Each side keeps its own place to itself. Whatever the other side writes
 * here, accesses stay inside the ring: lengths are bounded, places are masked,
 * and each shared word is loaded once, checked, and only then used.
 */
#include "base/cursor.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NXI_RING_BYTES = 1 << 20,     /* of one ring; a power of 2 */
    NXI_RING_LINE = 64,           /* records begin at multiples of this */
    NXI_RING_PART = 16 << 10,     /* payload in one record, at most */
    NXI_RING_HEADER_MAX = 64,
    NXI_RING_PAYLOAD_MAX = 64 << 10, /* payload of a frame, at most */
};

struct nxi_ring_writer {
    uint8_t                *data; /* shared: NXI_RING_BYTES, begins on a line, zeros at first */
    const _Atomic uint32_t *head; /* shared: the reader's place, 0 at first */
    uint32_t                tail;  /* our place */
    uint32_t                seen;  /* the last good head */
};

struct nxi_ring_reader {
    const uint8_t    *data; /* shared */
    _Atomic uint32_t *head; /* shared: ours to write */
    uint32_t          at;   /* our place */
    uint32_t          left; /* payload bytes still to come of the frame under way */
};

/* What nxi_ring_next() found. */
struct nxi_ring_record {
    uint8_t  header[NXI_RING_HEADER_MAX]; /* a copy */
    uint32_t header_len;                  /* 0: goes on with the frame under way */
    uint32_t left;                        /* payload bytes of the frame, this record's and later ones' */
    uint32_t body;                        /* where in the record this part of the payload begins, */
    uint32_t part;                        /* and how long it is */
};

static inline struct nxi_ring_writer nxi_ring_writer_at(uint8_t *data, const _Atomic uint32_t *head)
{
    return (struct nxi_ring_writer){ data, head, 0, 0 };
}

static inline struct nxi_ring_reader nxi_ring_reader_at(const uint8_t *data, _Atomic uint32_t *head)
{
    return (struct nxi_ring_reader){ data, head, 0, 0 };
}

/* Bytes of the ring that a frame takes. */
uint32_t nxi_ring_need(size_t header_len, size_t payload_len);
/* 1 when so many bytes are free, 0 when not, NXC_EPEER when the reader's head is nonsense. */
int nxi_ring_room(struct nxi_ring_writer *w, uint32_t need);
/* Writes a frame and moves payload on by payload_len: 0, or NXC_EAGAIN (no room,
 * nothing was written) or NXC_EPEER. payload may be NULL when payload_len is 0. */
int nxi_ring_put(struct nxi_ring_writer *w, const void *header, size_t header_len, struct nxi_cursor *payload,
                 size_t payload_len);

/* The word that decides whether a record is there. */
static inline const _Atomic uint32_t *nxi_ring_word(const uint8_t *data, uint32_t at)
{
    return (const _Atomic uint32_t *)(const void *)(data + (at & (NXI_RING_BYTES - 1)));
}

/* Whether nxi_ring_next() would find something. */
static inline bool nxi_ring_ready(const struct nxi_ring_reader *r)
{
    return atomic_load_explicit(nxi_ring_word(r->data, r->at), memory_order_relaxed) != 0;
}

/* 1: a record is there, and the header of a new frame copied; 0: none; NXC_EPEER: nonsense. */
int nxi_ring_next(struct nxi_ring_reader *r, struct nxi_ring_record *ret_record);
/* Copies the record's payload to the cursor, moves on, and frees its place. */
void nxi_ring_take(struct nxi_ring_reader *r, const struct nxi_ring_record *record, struct nxi_cursor *to);

#endif
