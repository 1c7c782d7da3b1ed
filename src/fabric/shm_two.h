/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_SHM_TWO_H
#define NXI_FABRIC_SHM_TWO_H
/* Tests only: two fabrics in one process, driven by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fabric/shm.h"

enum { LIMIT_S = 10, BIG = 1 << 20 };

/* One worker: a fabric, what it is driven with, and what it was told. */
struct worker {
    struct nxi_fabric_env    env;
    struct nxi_timers        timers;
    struct nxi_fabric       *f;
    struct nxi_fabric_events events;
    struct nxi_entry         entry;
    uint64_t                 skew;  /* added to the clock: a test need not wait */
    uint64_t                 limit; /* when a test gives up */

    struct nxi_link *link; /* the last that came up */
    int              ups, headers, payloads, writables, downs;
    int              down_code;
    char             down_text[NXI_SHM_WHY];
    uint8_t          header[NXI_HEADER_MAX];
    size_t           header_len;
    uint64_t         payload_len;
    struct nxc_desc  sinks[2]; /* where payloads go */
    size_t           n_sinks;
    int              refuse; /* what header returns */
    bool             answer; /* header sends the same header back as a reply */
    bool             close_in_header;
};

/* Drives one or both until cond holds. */
#define DRIVE_UNTIL(a, b, cond)                          \
    do {                                                 \
        uint64_t limit_ = nxi_now() + LIMIT_S * NXI_SEC; \
        while (!(cond)) {                                \
            worker_drive(a);                             \
            worker_drive(b);                             \
            if (nxi_now() > limit_)                      \
                fail_msg("never came true: %s", #cond);  \
        }                                                \
    } while (0)

struct two {
    struct worker a, b; /* a opens the link */
    uint8_t      *from, *to;
};

uint64_t worker_clock(const struct worker *w);
/* name: a number above 0, also the seconds of its keepalive. */
void worker_open(struct worker *w, uint8_t name);
/* Frees the fabric and checks that nothing is left. */
void worker_close(struct worker *w);
/* One turn: descriptors, timers, poll. Nothing when w is NULL. */
void worker_drive(struct worker *w);
int  worker_send(struct worker *w, const char *header, struct nxi_cursor *payload, size_t len,
                 enum nxi_send_mode mode);
/* Whether something would wake it from epoll. */
bool worker_has_bell(const struct worker *w);

/* Setup and teardown of a test with two workers. */
int two_open(void **state);
int two_close(void **state);
/* Brings a link up from a to b, which is returned as a has it. */
struct nxi_link *two_link(struct two *t);

static inline struct nxi_shm_link *inside(struct nxi_link *l)
{
    return (struct nxi_shm_link *)(void *)l;
}

#endif
