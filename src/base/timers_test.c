/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/timers.h"

enum { MANY = 200 };

struct alarm {
    struct nxi_timer   timer;
    struct nxi_timers *ts;
    uint64_t           due;   /* what the test set, NXI_NEVER when unset */
    uint64_t           rang;  /* at what time, NXI_NEVER when it did not */
    struct alarm      *other; /* unset when this one rings */
};

static uint64_t last_at; /* of the alarms that rang: they must not go back */

static void ring(struct nxi_timer *t, uint64_t now)
{
    struct alarm *a = (struct alarm *)t;
    assert_true(a->due <= now && a->due >= last_at);
    assert_int_equal(t->index, 0);
    last_at = a->due;
    a->rang = now;
    a->due = NXI_NEVER;
    if (a->other)
        nxi_timer_unset(a->ts, &a->other->timer);
}

static struct alarm *alarms(struct nxi_timers *ts, size_t n)
{
    struct alarm *as = calloc(n, sizeof *as);
    memset(ts, 0, sizeof *ts);
    last_at = 0;
    for (size_t i = 0; i < n; i++) {
        as[i] = (struct alarm){ .timer.fn = ring, .ts = ts, .due = NXI_NEVER, .rang = NXI_NEVER };
        assert_int_equal(nxi_timers_reserve(ts), 0);
    }
    return as;
}

static void set(struct alarm *a, uint64_t at)
{
    a->due = at;
    nxi_timer_set(a->ts, &a->timer, at);
}

static void test_timers_ring_in_order_and_once(void **state)
{
    (void)state;
    struct nxi_timers ts;
    struct alarm     *as = alarms(&ts, 3);
    assert_true(nxi_timers_next(&ts) == NXI_NEVER);
    set(&as[0], 30);
    set(&as[1], 10);
    set(&as[2], 20);
    assert_true(nxi_timers_next(&ts) == 10);
    assert_int_equal(nxi_timers_run(&ts, 9), 0);
    assert_int_equal(nxi_timers_run(&ts, 20), 2);
    assert_true(as[0].rang == NXI_NEVER && as[1].rang == 20 && as[2].rang == 20);
    assert_true(nxi_timers_next(&ts) == 30);
    assert_int_equal(nxi_timers_run(&ts, 1000), 1);
    assert_int_equal(nxi_timers_run(&ts, 1000), 0);
    nxi_timers_free(&ts);
    free(as);
}

static void test_a_timer_may_be_moved_and_unset_at_any_time(void **state)
{
    (void)state;
    struct nxi_timers ts;
    struct alarm     *as = alarms(&ts, 2);
    nxi_timer_unset(&ts, &as[0].timer); /* was never set */
    set(&as[0], 10);
    set(&as[1], 20);
    set(&as[0], 30);
    assert_true(nxi_timers_next(&ts) == 20);
    set(&as[1], NXI_NEVER);
    assert_true(nxi_timers_next(&ts) == 30);
    nxi_timer_unset(&ts, &as[0].timer);
    nxi_timer_unset(&ts, &as[0].timer);
    assert_true(nxi_timers_next(&ts) == NXI_NEVER);
    assert_int_equal(nxi_timers_run(&ts, NXI_NEVER - 1), 0);
    nxi_timers_free(&ts);
    free(as);
}

static void test_a_ringing_timer_may_unset_another_that_is_due(void **state)
{
    (void)state;
    struct nxi_timers ts;
    struct alarm     *as = alarms(&ts, 2);
    as[0].other = &as[1];
    set(&as[0], 10);
    set(&as[1], 11);
    assert_int_equal(nxi_timers_run(&ts, 50), 1);
    assert_true(as[1].rang == NXI_NEVER);
    nxi_timers_free(&ts);
    free(as);
}

static int again_left;

static void ring_again(struct nxi_timer *t, uint64_t now)
{
    struct alarm *a = (struct alarm *)t;
    a->rang = now;
    if (again_left-- > 0)
        nxi_timer_set(a->ts, t, now + 1);
}

static void test_a_ringing_timer_may_set_itself_again(void **state)
{
    (void)state;
    struct nxi_timers ts;
    struct alarm     *as = alarms(&ts, 1);
    as[0].timer.fn = ring_again;
    again_left = 2;
    set(&as[0], 10);
    assert_int_equal(nxi_timers_run(&ts, 10), 1);
    assert_true(nxi_timers_next(&ts) == 11);
    assert_int_equal(nxi_timers_run(&ts, 15), 1);
    assert_true(nxi_timers_next(&ts) == 16);
    assert_int_equal(nxi_timers_run(&ts, 16), 1);
    assert_true(nxi_timers_next(&ts) == NXI_NEVER);
    nxi_timers_free(&ts);
    free(as);
}

static uint64_t soonest(const struct alarm *as)
{
    uint64_t at = NXI_NEVER;
    for (size_t i = 0; i < MANY; i++)
        at = as[i].due < at ? as[i].due : at;
    return at;
}

static void test_many_random_changes_keep_the_order(void **state)
{
    (void)state;
    struct nxi_timers ts;
    struct alarm     *as = alarms(&ts, MANY);
    uint32_t          seed = 12345;
    uint64_t          now = 0;
    for (int round = 0; round < 20000; round++) {
        seed = seed * 1103515245 + 12345;
        struct alarm *a = &as[(seed >> 8) % MANY];
        if (seed >> 28 == 0) {
            last_at = 0;
            now += 40;
            nxi_timers_run(&ts, now);
            assert_true(soonest(as) > now);
        } else if (seed >> 30 == 3) {
            nxi_timer_unset(&ts, &a->timer);
            a->due = NXI_NEVER;
        } else {
            set(a, now + 1 + (seed >> 16) % 1000);
        }
        assert_true(nxi_timers_next(&ts) == soonest(as));
    }
    nxi_timers_free(&ts);
    free(as);
}

static void test_only_reserving_can_fail(void **state)
{
    (void)state;
    struct nxi_timers ts = { 0 };
    nxi_mem_fail(1, false);
    assert_int_equal(nxi_timers_reserve(&ts), NXC_ENOMEM);
    assert_int_equal(nxi_timers_reserve(&ts), 0);
    /* A place that was given back is used again: no allocation, however often. */
    nxi_mem_fail(1, true);
    for (int i = 0; i < 1000; i++) {
        nxi_timers_release(&ts);
        assert_int_equal(nxi_timers_reserve(&ts), 0);
    }
    nxi_mem_fail(0, false);
    nxi_timers_free(&ts);
    nxi_timers_free(&ts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_ring_in_order_and_once),
        cmocka_unit_test(test_a_timer_may_be_moved_and_unset_at_any_time),
        cmocka_unit_test(test_a_ringing_timer_may_unset_another_that_is_due),
        cmocka_unit_test(test_a_ringing_timer_may_set_itself_again),
        cmocka_unit_test(test_many_random_changes_keep_the_order),
        cmocka_unit_test(test_only_reserving_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
