/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_BENCH_UCX_LINK_H
#define NXC_BENCH_UCX_LINK_H
/* One UCX context, worker and endpoint to the other side, per set of settings. */
#include "bench.h"
#include "ucx.h"

#include <ucp/api/ucp.h>

enum ucx_message { UCX_DATA, UCX_NOTICE, UCX_REQUEST };

struct ucx_link {
    ucp_context_h context; /* NULL: not open */
    ucp_worker_h worker;
    ucp_ep_h ep;
    /* The peer's buffers, for put and get. */
    ucp_rkey_h peer_in, peer_out;
    uint64_t peer_in_address, peer_out_address;
    ucp_mem_h in_memory, out_memory;
    /* What the running batch knows. */
    struct bench_side *side;
    size_t size;
    unsigned arrived, requested;
};

/* Both sides open the same settings at the same time; the link stays open. */
struct ucx_link *ucx_link_get(struct bench_side *s, enum ucx_settings settings);

/* Progresses until the request has ended, and fails if it failed. */
void ucx_link_finish(struct ucx_link *l, ucs_status_ptr_t request, const char *what);

#endif
