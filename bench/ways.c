/* SPDX-License-Identifier: Apache-2.0 */
/* Every contender of every row. A row runs those that fit it. */
#include "bench.h"
#include "ucx.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define ALL BENCH_MAX_SIZE

#ifdef BENCH_WITH_UCX
#define UCX_WAY(name, jobs, fabric, min, max, how, settings) \
    { name, BENCH_UCX, jobs, fabric, min, max, bench_ucx_move, how, settings },
#else
#define UCX_WAY(name, jobs, fabric, min, max, how, settings)

void bench_ucx_close(void)
{
}

const char *bench_ucx_version(void)
{
    return NULL;
}
#endif

#define SOCKET_WAY(name, fabric, jobs, min, max, chunk) \
    { name, BENCH_FLOOR, jobs, fabric, min, max, bench_floor_socket, 0, chunk },

/* The sizes leave out what is far behind there: eager above 1 MiB. */
const struct bench_way bench_ways[] = {
    { "nxconnect", BENCH_OURS, BENCH_WRITE | BENCH_READ, BENCH_SHM | BENCH_TCP, 8, ALL, bench_ours_move, 0, 0 },
    { "nxconnect", BENCH_OURS, BENCH_WHOLE, BENCH_SHM, 8, 8, bench_ours_whole, 0, 0 },
    { "nxconnect", BENCH_OURS, BENCH_OPEN, BENCH_SHM, 0, ALL, bench_ours_open, 0, 0 },
    { "nxconnect", BENCH_OURS, BENCH_IDLE_CPU | BENCH_IDLE_MEMORY, BENCH_SHM, 8, 8, bench_ours_idle, 0, 0 },
    { "nxconnect", BENCH_OURS, BENCH_CHURN, BENCH_SHM, 8, 8, bench_ours_churn, 0, 0 },

    UCX_WAY("ucx shm header", BENCH_WRITE, BENCH_SHM, 8, 8, UCX_HEADER, UCX_SHM)
    UCX_WAY("ucx cma header", BENCH_WRITE, BENCH_SHM, 8, 8, UCX_HEADER, UCX_CMA)
    UCX_WAY("ucx shm eager", BENCH_WRITE, BENCH_SHM, 8, MIB, UCX_EAGER, UCX_SHM)
    UCX_WAY("ucx shm-64k eager", BENCH_WRITE | BENCH_READ, BENCH_SHM, 64 * KIB, MIB, UCX_EAGER, UCX_SHM_64K)
    UCX_WAY("ucx shm rndv", BENCH_WRITE | BENCH_READ, BENCH_SHM, 64 * KIB, ALL, UCX_RENDEZVOUS, UCX_SHM)
    UCX_WAY("ucx shm-64k rndv", BENCH_WRITE | BENCH_READ, BENCH_SHM, 64 * KIB, ALL, UCX_RENDEZVOUS, UCX_SHM_64K)
    UCX_WAY("ucx cma rndv", BENCH_WRITE | BENCH_READ, BENCH_SHM, 64 * KIB, ALL, UCX_RENDEZVOUS, UCX_CMA)
    UCX_WAY("ucx shm put", BENCH_WRITE, BENCH_SHM, 8, ALL, UCX_PUT, UCX_SHM)
    UCX_WAY("ucx cma put", BENCH_WRITE, BENCH_SHM, 64 * KIB, ALL, UCX_PUT, UCX_CMA)
    UCX_WAY("ucx shm get", BENCH_READ, BENCH_SHM, 64 * KIB, ALL, UCX_GET, UCX_SHM)
    UCX_WAY("ucx cma get", BENCH_READ, BENCH_SHM, 64 * KIB, ALL, UCX_GET, UCX_CMA)

    UCX_WAY("ucx header", BENCH_WRITE, BENCH_TCP, 8, 8, UCX_HEADER, UCX_TCP)
    UCX_WAY("ucx eager", BENCH_WRITE | BENCH_READ, BENCH_TCP, 8, MIB, UCX_EAGER, UCX_TCP)
    UCX_WAY("ucx eager 64k", BENCH_WRITE | BENCH_READ, BENCH_TCP, MIB, MIB, UCX_EAGER, UCX_TCP_64K)
    UCX_WAY("ucx rndv", BENCH_WRITE | BENCH_READ, BENCH_TCP, MIB, ALL, UCX_RENDEZVOUS, UCX_TCP)
    UCX_WAY("ucx rndv 64k", BENCH_WRITE | BENCH_READ, BENCH_TCP, MIB, ALL, UCX_RENDEZVOUS, UCX_TCP_64K)
    UCX_WAY("ucx put", BENCH_WRITE, BENCH_TCP, MIB, ALL, UCX_PUT, UCX_TCP)
    UCX_WAY("ucx put 64k", BENCH_WRITE, BENCH_TCP, MIB, ALL, UCX_PUT, UCX_TCP_64K)
    UCX_WAY("ucx get", BENCH_READ, BENCH_TCP, MIB, ALL, UCX_GET, UCX_TCP)
    UCX_WAY("ucx get 64k", BENCH_READ, BENCH_TCP, MIB, ALL, UCX_GET, UCX_TCP_64K)

    { "shared flag", BENCH_FLOOR, BENCH_WRITE, BENCH_SHM, 8, 8, bench_floor_flag, 0, 0 },
    { "memcpy", BENCH_FLOOR, BENCH_WRITE, BENCH_SHM, 64 * KIB, ALL, bench_floor_memcpy, 0, 0 },
    { "process_vm_readv", BENCH_FLOOR, BENCH_READ, BENCH_SHM, 64 * KIB, ALL, bench_floor_pull, 0, 0 },
    SOCKET_WAY("unix socket", BENCH_SHM, BENCH_WRITE, 8, 64 * MIB, 1 << 30)
    SOCKET_WAY("socket", BENCH_TCP, BENCH_WRITE | BENCH_READ, 8, ALL, 1 << 30)
    SOCKET_WAY("socket 64k", BENCH_TCP, BENCH_WRITE | BENCH_READ, MIB, ALL, 64 << 10)
    SOCKET_WAY("socket 256k", BENCH_TCP, BENCH_WRITE | BENCH_READ, MIB, ALL, 256 << 10)
    SOCKET_WAY("socket 1m", BENCH_TCP, BENCH_WRITE | BENCH_READ, 64 * MIB, ALL, 1 << 20)
};
const size_t bench_way_count = sizeof bench_ways / sizeof bench_ways[0];

int bench_way_fits(const struct bench_way *w, const struct bench_case *c)
{
    return (w->jobs & c->job) && (w->fabrics & c->fabric) && w->min <= c->size && c->size <= w->max;
}
