/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_SIM_WORLD_H
#define NXI_FABRIC_SIM_WORLD_H
/* Inside the simulated fabric: sim.c is the world (what passes between nodes),
 * sim_link.c a node's side of it (the calls of struct nxi_fabric_ops). */
#include "fabric/sim.h"
#include "fabric/sim_pipe.h"

struct nxi_sim_link;

/* One direction of a wire. */
struct nxi_sim_flow {
    struct nxi_sim_wire *wire;
    unsigned             from; /* the side that sends, 0 or 1 */
    struct nxi_pipe      pipe;
    struct nxi_timer     arrive; /* the next chunk reaches the receiver */
    struct nxi_timer     room;   /* the sender hears that there is room again */
};

/* What lies between the two ends of a link. Side 0 connected. */
struct nxi_sim_wire {
    struct nxi_sim       *sim;
    unsigned              plane, nodes[2];
    struct nxi_sim_link  *ends[2]; /* NULL: not there yet, or gone */
    struct nxi_sim_flow   flows[2];
    struct nxi_timer      knock;    /* the connect reaches the listener's host */
    bool                  knocking; /* and waits for the listener */
    uint8_t               instance[NXI_INSTANCE_LEN], link_key[NXI_LINK_KEY_LEN]; /* as the opener has them */
    struct nxi_sim_wire  *prev, *next;
};

struct nxi_sim_fabric {
    struct nxi_fabric            fabric;
    struct nxi_sim              *sim;
    unsigned                     node;
    struct nxi_sim_config        config;
    const struct nxi_fabric_env *env;
    struct nxi_sim_link         *links;
};

struct nxi_sim_node {
    struct nxi_sim        *sim;
    struct nxi_sim_fabric *fabrics[NXI_SIM_PLANES];
    bool                   dead, frozen, due;
    struct nxi_timer       wake;
};

struct nxi_sim {
    uint64_t             now;
    struct nxi_rng       rng;
    struct nxi_timers    events;
    struct nxi_sim_node  nodes[NXI_SIM_NODES];
    bool                 cut[NXI_SIM_NODES][NXI_SIM_NODES];
    struct nxi_sim_wire *wires;
    struct nxi_sim_stats stats;
    FILE                *trace;
};

#define NXI_SIM_TRACE(s, ...)                                                  \
    do {                                                                       \
        if ((s)->trace)                                                        \
            nxi_sim_trace(s, __VA_ARGS__);                                     \
    } while (0)
void nxi_sim_trace(const struct nxi_sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A time from now, up to the longest delay of the fabric that has a say. */
uint64_t nxi_sim_later(struct nxi_sim *s, uint64_t delay_max);
/* NULL when memory is refused: that is the library's own share. */
struct nxi_sim_wire *nxi_sim_wire_new(struct nxi_sim *s, unsigned plane, unsigned from, unsigned to);
/* Sees to it that what is in the pipe, or its end, arrives some day. */
void nxi_sim_flow_kick(struct nxi_sim_flow *f);
/* Bytes were taken out: the sender hears of it some time later. */
void nxi_sim_flow_taken(struct nxi_sim_flow *f);
/* One end lets go: what it sent still arrives, then its hang-up; what is on its
 * way to it is lost. The wire ends with the other end. */
void nxi_sim_wire_leave(struct nxi_sim_wire *w, unsigned side);

/* In sim_link.c: cuts a dead node's links loose. */
void nxi_sim_fabric_killed(struct nxi_sim_fabric *f);

#endif
