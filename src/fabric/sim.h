/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_SIM_H
#define NXI_FABRIC_SIM_H
/*
 * The simulated fabric, for tests: a world of nodes over virtual time. All that
 * is left to chance comes from one seed, so a schedule that failed can be played again.
 *
 * The world has no thread and no clock. Its driver asks when something happens
 * next, sets the time with nxi_sim_run(), and polls the fabrics of the nodes that
 * are due. Bytes arrive in chunks of random size after random delays, in order
 * within one direction of a link and in any order between links.
 */
#include "base/clock.h"
#include "fabric/fabric.h"

#include <stdio.h>

enum {
    NXI_SIM_NODES = 8,  /* in a world, at most */
    NXI_SIM_PLANES = 2, /* fabrics of a node, at most */
};

/* splitmix64: a fixed sequence for a seed, on every machine. */
struct nxi_rng {
    uint64_t state;
};
static inline uint64_t nxi_rng_next(struct nxi_rng *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
/* 0 .. n - 1; 0 when n is 0. */
static inline uint64_t nxi_rng_below(struct nxi_rng *r, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)nxi_rng_next(r) * n) >> 64);
}
static inline bool nxi_rng_chance(struct nxi_rng *r, uint32_t in_1000)
{
    return in_1000 && nxi_rng_below(r, 1000) < in_1000;
}

/* How the links of a fabric behave. A plane is what a network is to real ones:
 * the fabrics of one plane can reach each other. */
struct nxi_sim_config {
    unsigned plane;
    bool     copies;    /* as shm; otherwise a lent payload is read bit by bit, as by tcp */
    size_t   eager_max, piece_max;
    uint64_t pull_min, pull_max;
    size_t   pull_most; /* bytes that one call of pull reads at most, 0: all */
    size_t   room;      /* bytes on their way in one direction; a whole frame more than the largest payload fits */
    size_t   chunk_max; /* bytes that arrive at once */
    uint64_t delay_max; /* ns, of each chunk and of each wake-up */
    /* chances, in 1000 */
    uint32_t can_pull, pull_fails;
    uint32_t connect_refused, connect_mistrusted, connect_ignored, connect_foreign;
};

/* What happened in the world so far. */
struct nxi_sim_stats {
    uint64_t frames, chunks, again, writable, queued_replies;
    uint64_t lent, sent, revoked;  /* payloads lent; given back by sent; taken back in the middle */
    uint64_t scrapped;             /* payloads whose receiver let go of them in the middle */
    uint64_t pulls, pulls_failed;
    uint64_t up, refused;          /* links, counted once; connects that failed */
    uint64_t hung_up, cut_short;   /* ends of links; those in the middle of a frame */
};

struct nxi_sim;

/* NULL when out of memory. trace may be NULL. */
struct nxi_sim *nxi_sim_new(uint64_t seed, FILE *trace);
void nxi_sim_free(struct nxi_sim *s); /* after its fabrics */
/* The fabric of node 0 .. NXI_SIM_NODES - 1 on a plane. */
int nxi_sim_open(struct nxi_sim *s, unsigned node, const struct nxi_sim_config *config,
                 const struct nxi_fabric_env *env, struct nxi_fabric **ret_f);

uint64_t nxi_sim_now(const struct nxi_sim *s);
uint64_t nxi_sim_next(const struct nxi_sim *s); /* when something happens, NXI_NEVER */
void nxi_sim_run(struct nxi_sim *s, uint64_t now); /* lets all happen that is due */
/* Whether a node's fabrics are to be polled, once for each time; never while it is frozen or dead. */
bool nxi_sim_due(struct nxi_sim *s, unsigned node);
/* Makes a node due soon: its driver has more to do. */
void nxi_sim_wake(struct nxi_sim *s, unsigned node);
const struct nxi_sim_stats *nxi_sim_stats(const struct nxi_sim *s);

/* The end of a process: its links end after what it had sent, or some of it, has
 * arrived. Its fabrics do nothing any more and are still to be freed. */
void nxi_sim_kill(struct nxi_sim *s, unsigned node);
/* A frozen process is not polled; what is sent to it waits. Its driver must not run its timers. */
void nxi_sim_freeze(struct nxi_sim *s, unsigned node, bool frozen);
/* Nothing passes between two nodes, and nobody is told. Joined again, what waited goes on its way. */
void nxi_sim_cut(struct nxi_sim *s, unsigned a, unsigned b, bool cut);
/* Breaks all links between two nodes; some of what is on its way is lost. Returns how many. */
unsigned nxi_sim_drop(struct nxi_sim *s, unsigned a, unsigned b);

#endif
