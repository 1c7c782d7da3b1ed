/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_BENCH_UCX_H
#define NXC_BENCH_UCX_H
/* The ways to use UCX. No header of UCX is needed to name them. */

/* One context each; in all of them peer error handling is off, because with it
 * UCX gives up CMA and gains nothing. */
enum ucx_settings {
    UCX_CMA,     /* shared memory, and process_vm_readv/writev for the large */
    UCX_SHM,     /* shared memory alone */
    UCX_SHM_64K, /* the same with segments of 64 KiB */
    UCX_TCP,
    UCX_TCP_64K, /* tcp with segments of 64 KiB */
    UCX_SETTINGS,
};

enum ucx_how {
    UCX_EAGER,      /* active message, the bytes in it */
    UCX_HEADER,     /* active message, the bytes in its header */
    UCX_RENDEZVOUS, /* active message, received straight into the buffer */
    UCX_PUT,        /* put, flush, then a message */
    UCX_GET,
};

#endif
