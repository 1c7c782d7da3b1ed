/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping and bells. */
#include "fabric/shm_two.h"

#include <pthread.h>

enum { ROUNDS = 3000 };

static void test_a_sleeper_is_rung_once_and_one_awake_never(void **state)
{
    struct two *t = *state;
    two_link(t);
    assert_int_equal(worker_send(&t->a, "awake", NULL, 0, NXI_SEND_WHOLE), 0);
    t->a.f->ops->settle(t->a.f);
    assert_false(worker_has_bell(&t->b));
    worker_drive(&t->b);

    assert_false(t->b.f->ops->arm(t->b.f));
    assert_int_equal(worker_send(&t->a, "asleep", NULL, 0, NXI_SEND_WHOLE), 0);
    assert_false(worker_has_bell(&t->b)); /* not yet: it may wake by itself in a moment */
    t->a.f->ops->settle(t->a.f);
    assert_true(worker_has_bell(&t->b));
    assert_int_equal(worker_send(&t->a, "again", NULL, 0, NXI_SEND_WHOLE), 0);
    t->a.f->ops->settle(t->a.f);
    t->b.f->ops->wake(t->b.f);
    DRIVE_UNTIL(&t->a, &t->b, t->b.headers == 3);
    assert_false(worker_has_bell(&t->b)); /* one byte was all */
}

static void test_poll_rings_who_sleeps_on_a_frame(void **state)
{
    struct two *t = *state;
    two_link(t);
    assert_false(t->b.f->ops->arm(t->b.f));
    assert_int_equal(worker_send(&t->a, "wake up", NULL, 0, NXI_SEND_WHOLE), 0);
    DRIVE_UNTIL(&t->a, NULL, worker_has_bell(&t->b));
}

static void test_a_frame_that_was_read_in_time_needs_no_bell(void **state)
{
    struct two *t = *state;
    two_link(t);
    assert_false(t->b.f->ops->arm(t->b.f));
    assert_int_equal(worker_send(&t->a, "ping", NULL, 0, NXI_SEND_WHOLE), 0);
    t->b.f->ops->wake(t->b.f); /* by itself, and asleep again */
    t->b.f->ops->poll(t->b.f, worker_clock(&t->b));
    assert_false(t->b.f->ops->arm(t->b.f));
    t->a.skew = NXI_MS;
    worker_drive(&t->a);
    t->a.f->ops->settle(t->a.f);
    assert_false(worker_has_bell(&t->b));
}

static void test_arm_sees_what_came_before_it(void **state)
{
    struct two *t = *state;
    two_link(t);
    assert_int_equal(worker_send(&t->a, "x", NULL, 0, NXI_SEND_WHOLE), 0);
    assert_true(t->b.f->ops->arm(t->b.f));
    t->b.f->ops->wake(t->b.f);
    worker_drive(&t->b);
    assert_false(t->b.f->ops->arm(t->b.f));
}

static void test_a_sleeper_that_waits_for_room_is_rung_when_there_is_some(void **state)
{
    struct two *t = *state;
    two_link(t);
    struct nxc_desc   all = nxc_desc_host(t->from, BIG);
    struct nxi_cursor c = nxi_cursor_at(&all, 1);
    while (worker_send(&t->a, "piece", &c, NXI_SHM_PIECE_MAX, NXI_SEND_LEND) == 1)
        ;
    assert_false(t->a.f->ops->arm(t->a.f));
    assert_false(worker_has_bell(&t->a));
    DRIVE_UNTIL(&t->b, NULL, worker_has_bell(&t->a));
    assert_true(t->a.f->ops->arm(t->a.f));
    t->a.f->ops->wake(t->a.f);
    DRIVE_UNTIL(&t->a, NULL, t->a.writables == 1);
}

/* Plays ball with the other: returns what comes, sleeps whenever there is nothing. */
static void *play(void *arg)
{
    struct worker *w = arg;
    while (w->headers < ROUNDS) {
        struct epoll_event e;
        int                seen = w->headers;
        if (w->f->ops->poll(w->f, nxi_now()) && w->headers > seen) {
            worker_send(w, "ball", NULL, 0, NXI_SEND_WHOLE);
            continue;
        }
        int n = w->f->ops->arm(w->f) ? 0 : epoll_wait(w->env.epfd, &e, 1, LIMIT_S * 1000);
        w->f->ops->wake(w->f);
        if (n == 1)
            ((struct nxi_watch *)e.data.ptr)->fn(e.data.ptr, e.events, nxi_now());
        else if (nxi_now() > w->limit)
            break; /* slept on a frame */
    }
    w->f->ops->settle(w->f); /* the last ball */
    return NULL;
}

static void test_two_sleepers_lose_no_frame(void **state)
{
    struct two *t = *state;
    pthread_t   thread;
    two_link(t);
    t->a.limit = t->b.limit = nxi_now() + LIMIT_S * NXI_SEC;
    assert_int_equal(worker_send(&t->a, "ball", NULL, 0, NXI_SEND_WHOLE), 0);
    assert_int_equal(pthread_create(&thread, NULL, play, &t->a), 0);
    play(&t->b);
    pthread_join(thread, NULL);
    assert_int_equal(t->a.headers, ROUNDS);
    assert_int_equal(t->b.headers, ROUNDS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, two_open, two_close)
    const struct CMUnitTest tests[] = {
        TEST(test_a_sleeper_is_rung_once_and_one_awake_never),
        TEST(test_poll_rings_who_sleeps_on_a_frame),
        TEST(test_a_frame_that_was_read_in_time_needs_no_bell),
        TEST(test_arm_sees_what_came_before_it),
        TEST(test_a_sleeper_that_waits_for_room_is_rung_when_there_is_some),
        TEST(test_two_sleepers_lose_no_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
