/* SPDX-License-Identifier: Apache-2.0 */
/* Promise 4 of docs/design.md: what ends one side ends the other, with the reason,
 * at once. The limits of silence are set far apart from what is tested, so that a
 * test can't pass by the wrong way to notice. */
#include "tests/pair.h"

#include <signal.h>
#include <stdlib.h>

static const struct shape large = LONG_SHAPE;

static void assert_at_once(uint64_t since)
{
    uint64_t ms = (now_ns() - since) / MS;
    if (ms >= AT_ONCE_MS)
        fail_msg("it took %llu ms", (unsigned long long)ms);
}

/* ---- the table ---------------------------------------------------------------------- */

struct row {
    order_fn   *act; /* of one side, in the middle of a transfer */
    int         ours_status, ours_error;
    int         theirs_status, theirs_error;
    const char *theirs_text;
};

static const struct row rows[] = {
    { do_cancel, NXC_CANCELLED, NXC_ECANCELLED, NXC_CANCELLED, NXC_ECANCELLED, "by the peer" },
    { do_free, 0, 0, NXC_CANCELLED, NXC_ECANCELLED, "by the peer" },
    { do_close, NXC_CANCELLED, NXC_ECANCELLED, NXC_ERRORED, NXC_EPEER, "" },
};

static void play(const struct row *row, enum nxc_kind kind, bool passive_acts)
{
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    struct peer *us = passive_acts ? a : b, *them = passive_acts ? b : a;
    start_op(a, b, 0, kind, large);
    TELL(them, do_wait, .ms = -1);
    DO(us, do_reach, .number = MIB);
    uint64_t      since = now_ns();
    struct answer ours = DO(us, row->act), theirs = peer_hear(them);
    assert_at_once(since);
    if (row->act == do_close)
        ours = DO(us, do_status);
    assert_end(ours, row->ours_status, row->ours_error);
    assert_end(theirs, row->theirs_status, row->theirs_error);
    assert_text(theirs, row->theirs_text);
    assert_null(ours.status == NXC_CANCELLED ? strstr(ours.detail, "peer") : NULL);
    peer_stop(a);
    peer_stop(b);
}

static void play_all(const struct row *row)
{
    for (int i = 0; i < 4; i++)
        play(row, i & 1 ? NXC_WRITE : NXC_READ, i & 2);
}

static void test_4_a_cancel_ends_both_as_cancelled(void **state)
{
    (void)state;
    play_all(&rows[0]);
}

static void test_4_a_free_ends_the_peers_as_cancelled(void **state)
{
    (void)state;
    play_all(&rows[1]);
}

static void test_4_a_freed_connector_is_a_lost_peer(void **state)
{
    (void)state;
    play_all(&rows[2]);
}

/* The peer stands still while our time runs out, so that it can only be that. */
static void test_4_a_deadline_is_the_peers_limit_over_there(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    for (int i = 0; i < 4; i++) {
        enum nxc_kind kind = i & 1 ? NXC_WRITE : NXC_READ;
        bool          passive = i & 2;
        struct answer t = DO(a, do_create, .kind = kind, .shape = large, .ms = passive ? 400 : 0);
        struct answer begun = DO(b, do_begin, .kind = kind, .shape = large, .ms = passive ? 0 : 400, .text = t.text);
        struct peer  *us = passive ? a : b, *them = passive ? b : a;
        assert_int_equal(begun.code, 0);
        peer_freeze(them, 0, MIB);
        struct answer ours = DO(us, do_wait, .ms = -1);
        assert_end(ours, NXC_ERRORED, NXC_ETIMEDOUT);
        assert_null(strstr(ours.detail, "peer's limit"));
        uint64_t since = now_ns();
        peer_thaw(them);
        struct answer theirs = DO(them, do_wait, .ms = -1);
        assert_at_once(since);
        assert_end(theirs, NXC_ERRORED, NXC_ETIMEDOUT);
        assert_text(theirs, "the peer's limit");
    }
    peer_stop(a);
    peer_stop(b);
}

static void test_4_an_operation_begun_before_its_offer_ends_ends_too(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    prove_link(a, b, NXC_READ);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        struct answer t = DO(a, do_create, .kind = kind, .shape = large);
        peer_freeze(a, 0, 0); /* it does not hear of the begin before it has cancelled */
        assert_int_equal(DO(b, do_begin, .kind = kind, .shape = large, .text = t.text).code, 0);
        TELL(b, do_wait, .ms = -1);
        peer_thaw(a);
        struct answer ours = DO(a, do_cancel), theirs = peer_hear(b);
        assert_end(ours, NXC_CANCELLED, NXC_ECANCELLED);
        if (theirs.error != NXC_EACCESS) /* a thread that was faster than the cancel */
            assert_end(theirs, NXC_CANCELLED, NXC_ECANCELLED);
    }
    peer_stop(a);
    peer_stop(b);
}

/* ---- death and silence ------------------------------------------------------------------ */

static void dies(enum nxc_kind kind, bool passive_dies, order_fn *before, uint64_t how)
{
    struct nxc_connector_opts opts = plain_opts();
    opts.keepalive_ms = 60000; /* silence tells nothing in time */
    struct peer *a = peer_start(&opts), *b = peer_start(&opts);
    struct peer *victim = passive_dies ? a : b, *survivor = passive_dies ? b : a;
    start_op(a, b, 0, kind, large);
    uint64_t since = now_ns();
    if (before)
        assert_int_equal(DO(victim, before, .number = how).code, 0);
    TELL(survivor, do_wait, .ms = -1);
    peer_kill_at(victim, 0, 2 * MIB);
    assert_at_once(since); /* a fork does not stop what runs */
    since = now_ns();
    struct answer end = peer_hear(survivor);
    assert_at_once(since);
    assert_end(end, NXC_ERRORED, NXC_EPEER);
    peer_stop(survivor);
    test_end(NULL);
}

static void test_4_death_is_told_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        dies(i & 1 ? NXC_WRITE : NXC_READ, i & 2, NULL, 0);
}

static void test_4_death_is_told_at_once_while_a_child_of_fork_lives(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        dies(i & 1 ? NXC_WRITE : NXC_READ, i & 2, do_fork, 0);
}

/* A child that knows nothing of our fork handler keeps every descriptor open. */
static void test_4_death_is_told_at_once_while_another_holds_its_descriptors(void **state)
{
    (void)state;
    if (strcmp(transport, "shm") != 0)
        skip(); /* over tcp such a peer is a silent one */
    for (int i = 0; i < 4; i++)
        dies(i & 1 ? NXC_WRITE : NXC_READ, i & 2, do_fork, 1);
}

static void test_4_a_silent_peer_is_lost_and_learns_of_it(void **state)
{
    (void)state;
    enum { KEEPALIVE_MS = 800 };
    struct nxc_connector_opts opts = plain_opts(), patient = plain_opts();
    opts.keepalive_ms = KEEPALIVE_MS;
    patient.keepalive_ms = 60000; /* the smaller one counts for both */
    for (int i = 0; i < 4; i++) {
        struct peer *a = peer_start(i & 1 ? &opts : &patient), *b = peer_start(i & 1 ? &patient : &opts);
        struct peer *frozen = i & 2 ? a : b, *survivor = i & 2 ? b : a;
        start_op(a, b, 0, i & 1 ? NXC_WRITE : NXC_READ, large);
        peer_freeze(frozen, 0, MIB);
        uint64_t      since = now_ns();
        struct answer end = DO(survivor, do_wait, .ms = -1);
        uint64_t      ms = (now_ns() - since) / MS;
        assert_end(end, NXC_ERRORED, NXC_EPEER);
        if (ms < KEEPALIVE_MS / 2 || ms > KEEPALIVE_MS + AT_ONCE_MS)
            fail_msg("the silence was noticed after %llu ms", (unsigned long long)ms);
        peer_thaw(frozen);
        assert_end(DO(frozen, do_wait, .ms = -1), NXC_ERRORED, NXC_EPEER);
        prove_link(a, b, NXC_READ);
        peer_stop(a);
        peer_stop(b);
    }
}

static void test_4_a_slow_peer_is_not_a_silent_one(void **state)
{
    (void)state;
    struct nxc_connector_opts opts = plain_opts();
    opts.keepalive_ms = 1500;
    struct peer *a = peer_start(&opts), *b = peer_start(&opts);
    start_op(a, b, 0, NXC_READ, large);
    for (int i = 0; i < 5; i++) { /* each time for less than the limit, in all for more */
        peer_freeze(a, 0, (uint64_t)(i + 1) * large.bytes);
        peer_silent(b, 400); /* nobody owes an answer: the time passes */
        peer_thaw(a);
    }
    assert_end(DO(b, do_wait, .ms = -1), NXC_COMPLETE, 0);
    assert_end(DO(a, do_wait, .ms = -1), NXC_COMPLETE, 0);
    assert_memory(b, 0, 1);
    peer_stop(a);
    peer_stop(b);
}

/* A receiver that goes away right after its end is the commonest case of all. */
static void do_wait_and_leave(struct worker *w, const struct order *o, struct answer *a)
{
    int r = nxc_op_wait(w->slots[o->slot].op, -1);
    nxc_op_free(w->slots[o->slot].op);
    nxc_connector_free(w->c);
    w->slots[o->slot].op = NULL;
    w->c = NULL;
    answer(w, o, a, r);
}

static void test_4_a_receiver_that_leaves_after_its_end_leaves_no_doubt(void **state)
{
    (void)state;
    const struct shape shapes[] = { { 1, 100, 0 }, { 1, 300 * KIB, 0 }, { 1, 8 * MIB, 0 } };
    for (int round = 0; round < 30; round++) {
        struct peer  *a = peer_start(NULL), *b = peer_start(NULL);
        enum nxc_kind kind = round & 1 ? NXC_WRITE : NXC_READ;
        start_op(a, b, 0, kind, shapes[round % 3]);
        struct peer *source = kind == NXC_READ ? a : b, *receiver = kind == NXC_READ ? b : a;
        TELL(receiver, do_wait_and_leave);
        TELL(source, do_wait, .ms = -1);
        assert_int_equal(peer_hear(receiver).code, 0);
        assert_end(peer_hear(source), NXC_COMPLETE, 0);
        peer_stop(a);
        peer_stop(b);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_4_a_cancel_ends_both_as_cancelled),
        PAIR_TEST(test_4_a_free_ends_the_peers_as_cancelled),
        PAIR_TEST(test_4_a_freed_connector_is_a_lost_peer),
        PAIR_TEST(test_4_a_deadline_is_the_peers_limit_over_there),
        PAIR_TEST(test_4_an_operation_begun_before_its_offer_ends_ends_too),
        PAIR_TEST(test_4_death_is_told_at_once),
        PAIR_TEST(test_4_death_is_told_at_once_while_a_child_of_fork_lives),
        PAIR_TEST(test_4_death_is_told_at_once_while_another_holds_its_descriptors),
        PAIR_TEST(test_4_a_silent_peer_is_lost_and_learns_of_it),
        PAIR_TEST(test_4_a_slow_peer_is_not_a_silent_one),
        PAIR_TEST(test_4_a_receiver_that_leaves_after_its_end_leaves_no_doubt),
    };
    take_transport(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
