/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated fabric, in both its ways: as one that copies and as one that lends. */
#include "fabric/sim.h"
#include "tests/conformance.h"

static struct nxi_sim       *sim;
static struct nxi_sim_config config = {
    .eager_max = 1024, .piece_max = 16384, .pull_max = UINT64_MAX, .room = 40000, .chunk_max = 3000,
    .delay_max = 50 * NXI_US, .can_pull = 1000,
};

static void begin(void)
{
    sim = nxi_sim_new(1, NULL);
}

static void end(void)
{
    nxi_sim_free(sim);
}

static int open_sim(struct side *s, unsigned number)
{
    return nxi_sim_open(sim, number, &config, &s->env, &s->fabric);
}

static uint64_t now(void)
{
    return nxi_sim_now(sim);
}

static bool pass(uint64_t timer)
{
    uint64_t next = nxi_sim_next(sim);
    if (timer < next)
        next = timer;
    if (next == NXI_NEVER)
        return false;
    nxi_sim_run(sim, next);
    return true;
}

int main(void)
{
    static struct conformance_kind kind = { .begin = begin, .end = end, .open = open_sim, .now = now, .pass = pass };
    kind.name = "sim, copying";
    config.copies = true;
    int failed = conformance_run(&kind);
    kind.name = "sim, lending";
    config.copies = false;
    config.room = 2000; /* less than a piece: it stays on the way */
    return failed + conformance_run(&kind);
}
