/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_PLAYER_H
#define TESTS_SIM_PLAYER_H
/*
 * Plays schedules of operations over the simulated fabric and holds the promises
 * of docs/design.md against what happens. One seed is one schedule: plan.c draws
 * it, player.c plays it, promises.c judges it.
 */
#include "dialect/native.h"
#include "fabric/sim.h"

enum {
    MAX_NODES = 4,
    MAX_OPS = 20, /* both sides counted */
    MAX_ACTS = 96,
    MAX_WATCHES = 8,
    MAX_DESCS = 4,
    CONTENT_LEN = 1 << 20,
    GUARD = 16, /* bytes between two descriptors */
};

/* What stands in memory that must not change. */
enum { UNTOUCHED = 0xa5, RETURNED = 0x5a, GARBAGE = 0xc3, POISON = 0xee };

/* What is wrong with an active side's ticket. */
enum flaw { FLAWLESS, FLAW_FORGED, FLAW_UNKNOWN, FLAW_KIND, FLAW_SIZE, FLAWS };

/* One side of an operation. */
struct op {
    /* from the plan */
    unsigned      node;
    bool          active, source;
    enum nxc_kind kind;
    struct op    *offer; /* of an active side: the passive one it uses; of a passive side itself */
    enum flaw     flaw;
    uint64_t      total, timeout; /* timeout: ns, NXI_NEVER for none */
    size_t        n, lens[MAX_DESCS];
    const uint8_t *content; /* what a source sends */
    /* as played */
    uint8_t        *arena;
    size_t          arena_len;
    struct nxc_desc descs[MAX_DESCS];
    struct nxi_xfer x;
    enum nxi_phase  phase; /* the last that was seen before the end */
    bool            started, begun, cancel_asked, torn;
    uint64_t        deadline, started_at, begun_at;
    /* its end */
    unsigned        ends;
    enum nxc_status status;
    int             error;
    uint64_t        ended_at;
    char            text[128];
    const struct op *sent_by; /* a receiver that is complete: whose bytes it has */
};

enum act_kind { ACT_START, ACT_CANCEL, ACT_STOP, ACT_KILL, ACT_FREEZE, ACT_THAW, ACT_CUT, ACT_JOIN, ACT_DROP };

struct act {
    uint64_t      at;
    enum act_kind kind;
    struct op    *op;
    unsigned      a, b; /* nodes */
};

/* An act for when an op is first seen in a phase, NXI_XFER_ENDED: has ended. What goes wrong in the middle
 * of things is not left to luck. */
struct watch {
    struct op     *op;
    enum nxi_phase phase;
    uint64_t       delay;
    struct act     act;    /* at: set when it is due */
    uint64_t       undone; /* a freeze or a cut ends so much later, 0: never */
    bool           fired;
};

struct node {
    struct nxi_timers     timers;
    struct nxi_fabric_env env;
    struct nxi_fabric    *fabrics[NXI_SIM_PLANES];
    struct nxi_native    *native; /* NULL: not there yet, or freed */
    struct nxi_entry      entry;
    _Atomic uint64_t      links;
    uint64_t              ids, stopped_at, next_turn;
    bool                  dead, frozen, stopping;
    /* what happened to it, for the judge */
    bool     was_frozen, refused_memory, gave_up; /* gave_up: waited for keepalive_ms when it was freed */
    uint64_t lost_at;                             /* killed, or frozen for good; 0: neither */
};

struct play {
    uint64_t     seed;
    struct nxi_rng rng;
    FILE        *trace;
    struct nxi_sim *sim;
    /* the plan */
    unsigned              n_nodes, n_planes, n_ops, n_acts, acted, n_watches;
    struct nxi_sim_config planes[NXI_SIM_PLANES];
    uint32_t              keepalive_ms[MAX_NODES], connect_ms;
    bool                  connects_fail, memory_fails, slow_pulls, timers_first, faults;
    struct act            acts[MAX_ACTS];
    struct watch          watches[MAX_WATCHES];
    struct op             ops[MAX_OPS];
    struct nxi_key        keys[MAX_OPS]; /* in the tickets */
    struct node           nodes[MAX_NODES];
    bool                  parted[MAX_NODES][MAX_NODES]; /* cut or dropped at some time */
    uint8_t              *pool; /* the arenas */
    size_t                pool_used;
};

/* Over all schedules, to show that they test something. */
struct tally {
    uint64_t schedules, ops, acts[ACT_DROP + 1], flaws[FLAWS];
    uint64_t complete, cancelled, errored[32]; /* by -code */
    uint64_t cancelled_voted;                  /* cancels that a vote outlived */
    uint64_t unknown;                          /* voted sources that never heard, the receiver being complete */
    uint64_t by_peer, lost_races, stops_waited, undisturbed, lost_peers, last_words, bytes;
    struct nxi_sim_stats sim;
};
extern struct tally tally;

/* plan.c */
void plan_draw(struct play *p, const uint8_t *content);
void plan_add_act(struct play *p, struct act act); /* sorted by time */
void plan_add_undoing(struct play *p, const struct act *act, uint64_t after);
/* player.c */
void play_run(struct play *p);
/* promises.c: prints what is wrong and the seed, and exits. */
void promise_broken(const struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void promise_on_end(struct play *p, struct op *o); /* an op has just ended */
void promise_settled(struct play *p);              /* all that can end by itself has ended */
void promise_at_last(struct play *p);              /* after everything */
bool promise_content(const struct op *o, const uint8_t *content);

#define PROMISE(play, truth, ...)                                              \
    do {                                                                       \
        if (!(truth))                                                          \
            promise_broken(play, __VA_ARGS__);                                 \
    } while (0)
#define SAY(play, ...)                                                         \
    do {                                                                       \
        if ((play)->trace)                                                     \
            play_say(play, __VA_ARGS__);                                       \
    } while (0)
void play_say(const struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
