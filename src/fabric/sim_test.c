/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulated fabric has beyond other fabrics: a world that goes wrong on
 * demand, and the same way each time. Its contract as a fabric: tests/conformance.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fabric/sim.h"

#include <stdlib.h>
#include <string.h>

struct end {
    struct nxi_fabric_env env;
    struct nxi_timers     timers;
    struct nxi_fabric    *fabric;
    struct nxi_entry      entry;
    struct nxi_link      *link; /* the last that came up */
    unsigned              ups, headers, downs;
    int                   code;
};

struct world {
    struct nxi_sim *sim;
    struct end      ends[3];
};

static const struct nxi_sim_config plain = {
    .eager_max = 256, .piece_max = 1024, .room = 1400, .chunk_max = 300, .delay_max = 20 * NXI_US,
};

static void on_up(void *arg, struct nxi_link *l, uint64_t now)
{
    struct end *e = arg;
    (void)now;
    e->ups++;
    e->link = l;
}

static int on_header(void *arg, struct nxi_link *l, const uint8_t *header, size_t header_len, uint64_t payload_len,
                     uint64_t now)
{
    struct end *e = arg;
    (void)l, (void)header, (void)header_len, (void)payload_len, (void)now;
    e->headers++;
    return 0;
}

static int on_payload(void *arg, struct nxi_link *l, uint64_t now)
{
    (void)arg, (void)l, (void)now;
    return 0;
}

static void on_sent(void *arg, struct nxi_link *l, void *token, uint64_t now)
{
    (void)arg, (void)l, (void)token, (void)now;
}

static void on_writable(void *arg, struct nxi_link *l, uint64_t now)
{
    (void)arg, (void)l, (void)now;
}

static void on_down(void *arg, struct nxi_link *l, int code, const char *text, uint64_t now)
{
    struct end *e = arg;
    (void)l, (void)text, (void)now;
    e->downs++;
    e->code = code;
    e->link = NULL;
}

static const struct nxi_fabric_events events = { on_up, on_header, on_payload, on_sent, on_writable, on_down };

static void world_open(struct world *w, uint64_t seed, const struct nxi_sim_config *config, FILE *trace)
{
    *w = (struct world){ .sim = nxi_sim_new(seed, trace) };
    assert_non_null(w->sim);
    for (unsigned i = 0; i < 3; i++) {
        struct end *e = &w->ends[i];
        e->env = (struct nxi_fabric_env){ .epfd = -1, .timers = &e->timers, .keepalive_ms = 100, .connect_ms = 50 };
        memset(e->env.instance, (int)i, NXI_INSTANCE_LEN);
        memcpy(e->entry.instance, e->env.instance, NXI_INSTANCE_LEN);
        assert_int_equal(nxi_sim_open(w->sim, i, config, &e->env, &e->fabric), 0);
        e->fabric->events = &events;
        e->fabric->arg = e;
        assert_int_equal(e->fabric->ops->addrs(e->fabric, &e->entry), 0);
    }
}

static void world_close(struct world *w)
{
    for (unsigned i = 0; i < 3; i++) {
        w->ends[i].fabric->ops->free(w->ends[i].fabric);
        assert_int_equal(w->ends[i].timers.reserved, 0);
        nxi_timers_free(&w->ends[i].timers);
    }
    nxi_sim_free(w->sim);
}

/* Lets so much time pass. */
static void pass(struct world *w, uint64_t time)
{
    uint64_t until = nxi_sim_now(w->sim) + time;
    for (;;) {
        uint64_t at = nxi_sim_next(w->sim);
        for (unsigned i = 0; i < 3; i++)
            if (nxi_timers_next(&w->ends[i].timers) < at)
                at = nxi_timers_next(&w->ends[i].timers);
        nxi_sim_run(w->sim, at < until ? at : until);
        if (at > until)
            return;
        for (unsigned i = 0; i < 3; i++) {
            if (nxi_sim_due(w->sim, i))
                w->ends[i].fabric->ops->poll(w->ends[i].fabric, at);
            nxi_timers_run(&w->ends[i].timers, at);
        }
    }
}

static struct nxi_link *start_connect(struct world *w, unsigned from, unsigned to)
{
    struct nxi_link *l = NULL;
    struct end      *e = &w->ends[from];
    assert_int_equal(e->fabric->ops->connect(e->fabric, &w->ends[to].entry, NULL, nxi_sim_now(w->sim), &l), 0);
    return l;
}

static void say(struct world *w, struct nxi_link *l)
{
    struct nxi_frame f = { "hello", 5, NULL, 0, NULL };
    assert_int_equal(l->fabric->ops->send(l, &f, NXI_SEND_REPLY, nxi_sim_now(w->sim)), 0);
}

static void test_one_seed_is_one_story(void **state)
{
    char  *stories[3];
    size_t lens[3];
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct world w;
        FILE        *f = open_memstream(&stories[i], &lens[i]);
        world_open(&w, i < 2 ? 7 : 8, &plain, NULL);
        for (unsigned j = 0; j < 2; j++)
            start_connect(&w, j, j + 1);
        for (int step = 0; step < 40; step++) {
            pass(&w, 5 * NXI_US);
            if (w.ends[0].link)
                say(&w, w.ends[0].link);
            fprintf(f, "%u %u %llu\n", w.ends[1].headers, w.ends[1].ups, (unsigned long long)nxi_sim_next(w.sim));
        }
        fclose(f);
        world_close(&w);
    }
    assert_string_equal(stories[0], stories[1]);
    assert_string_not_equal(stories[0], stories[2]);
    for (unsigned i = 0; i < 3; i++)
        free(stories[i]);
}

static void test_a_frozen_node_hears_all_when_it_thaws(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1, &plain, NULL);
    start_connect(&w, 0, 1);
    pass(&w, NXI_MS);
    nxi_sim_freeze(w.sim, 1, true);
    for (int i = 0; i < 10; i++)
        say(&w, w.ends[0].link);
    pass(&w, NXI_SEC);
    assert_int_equal(w.ends[1].headers, 0);
    assert_int_equal(w.ends[0].downs, 0);
    nxi_sim_freeze(w.sim, 1, false);
    pass(&w, NXI_MS);
    assert_int_equal(w.ends[1].headers, 10);
    world_close(&w);
}

static void test_a_cut_is_silent_and_heals(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1, &plain, NULL);
    start_connect(&w, 0, 1);
    start_connect(&w, 2, 1);
    pass(&w, NXI_MS);
    nxi_sim_cut(w.sim, 0, 1, true);
    struct nxi_link *from = w.ends[0].link;
    say(&w, from);
    say(&w, w.ends[2].link);
    pass(&w, NXI_SEC);
    assert_int_equal(w.ends[1].headers, 1); /* of the third */
    from->fabric->ops->close(from);
    pass(&w, NXI_SEC);
    assert_int_equal(w.ends[1].downs, 0);
    nxi_sim_cut(w.sim, 0, 1, false);
    pass(&w, NXI_MS);
    assert_int_equal(w.ends[1].headers, 2);
    assert_int_equal(w.ends[1].downs, 1);
    world_close(&w);
}

static void test_a_killed_node_hangs_up_and_does_nothing_more(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1, &plain, NULL);
    start_connect(&w, 0, 1);
    pass(&w, NXI_MS);
    say(&w, w.ends[1].link);
    nxi_sim_kill(w.sim, 1);
    say(&w, w.ends[0].link);
    pass(&w, NXI_MS);
    assert_int_equal(w.ends[0].downs, 1);
    assert_int_equal(w.ends[0].code, NXC_EPEER);
    assert_int_equal(w.ends[1].headers, 0);
    assert_int_equal(w.ends[1].downs, 0);
    start_connect(&w, 0, 1);
    pass(&w, NXI_MS);
    assert_int_equal(w.ends[0].code, NXC_EUNREACH);
    world_close(&w);
}

static void test_a_dropped_link_ends_on_both_sides(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1, &plain, NULL);
    start_connect(&w, 0, 1);
    pass(&w, NXI_MS);
    assert_int_equal(nxi_sim_drop(w.sim, 0, 2), 0);
    assert_int_equal(nxi_sim_drop(w.sim, 1, 0), 1);
    pass(&w, NXI_MS);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(w.ends[i].downs, 1);
        assert_int_equal(w.ends[i].code, NXC_EPEER);
    }
    world_close(&w);
}

static void test_connects_fail_on_demand(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        static const int      codes[] = { NXC_EUNREACH, NXC_EACCESS, NXC_ENOTSUP, NXC_EUNREACH };
        struct nxi_sim_config config = plain;
        struct world          w;
        uint32_t *chances[] = { &config.connect_refused, &config.connect_mistrusted, &config.connect_foreign,
                                &config.connect_ignored };
        *chances[i] = 1000;
        world_open(&w, 1, &config, NULL);
        start_connect(&w, 0, 1);
        pass(&w, NXI_MS);
        assert_int_equal(w.ends[0].downs, i < 3); /* who is ignored waits for connect_ms */
        pass(&w, 50 * NXI_MS);
        assert_int_equal(w.ends[0].downs, 1);
        assert_int_equal(w.ends[0].code, codes[i]);
        assert_int_equal(w.ends[1].ups, 0);
        world_close(&w);
    }
}

static void test_an_opener_that_leaves_before_it_was_greeted_is_forgotten(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct world w;
        world_open(&w, seed, &plain, NULL);
        struct nxi_link *l = start_connect(&w, 0, 1);
        pass(&w, seed * 200);
        l->fabric->ops->close(l);
        pass(&w, NXI_SEC);
        assert_int_equal(w.ends[1].ups, w.ends[1].downs);
        for (unsigned i = 0; i < 2; i++) /* frees what is gone */
            w.ends[i].fabric->ops->poll(w.ends[i].fabric, nxi_sim_now(w.sim));
        assert_int_equal(w.ends[0].timers.reserved + w.ends[1].timers.reserved, 0);
        world_close(&w);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_seed_is_one_story),
        cmocka_unit_test(test_a_frozen_node_hears_all_when_it_thaws),
        cmocka_unit_test(test_a_cut_is_silent_and_heals),
        cmocka_unit_test(test_a_killed_node_hangs_up_and_does_nothing_more),
        cmocka_unit_test(test_a_dropped_link_ends_on_both_sides),
        cmocka_unit_test(test_connects_fail_on_demand),
        cmocka_unit_test(test_an_opener_that_leaves_before_it_was_greeted_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
