/* SPDX-License-Identifier: Apache-2.0 */
/* Promises 1, 5 and 6 of docs/design.md: every operation ends, once; beginning
 * begins; what has ended is forgotten. */
#include "tests/pair.h"

#include <stdio.h>
#include <stdlib.h>

static const struct shape small = { 1, 100, 0 }, large = LONG_SHAPE;

/* ---- 1: exactly once, and always ----------------------------------------------- */

/* The operation in the slot has ended so; it says the same for ever, its one event
 * comes, and no other: the next that comes is that of a later operation. */
static void ends_once(struct peer *p, int slot, int status, int error)
{
    for (int i = 0; i < 3; i++) {
        struct answer a = DO(p, do_wait, .slot = slot, .ms = i - 1);
        assert_end(a, status, error);
        assert_int_equal(a.code, error);
    }
    struct answer event = DO(p, do_poll, .ms = 10000);
    assert_int_equal(event.code, 1);
    assert_int_equal(event.number, slot);
    assert_int_equal(event.status, status);
    assert_int_equal(event.error, error);
    struct answer later = DO(p, do_create, .slot = 7, .kind = NXC_READ, .shape = small, .ms = 1, .queued = true);
    assert_int_equal(later.code, 0);
    event = DO(p, do_poll, .ms = 10000);
    assert_int_equal(event.code, 1);
    assert_int_equal(event.number, 7);
    assert_int_equal(DO(p, do_poll, .ms = 0).code, 0);
    assert_end(DO(p, do_status, .slot = slot), status, error);
}

static void start_queued(struct peer *a, struct peer *b, enum nxc_kind kind, struct shape shape)
{
    struct answer t = DO(a, do_create, .kind = kind, .shape = shape, .seed = 1, .queued = true);
    assert_int_equal(t.code, 0);
    assert_int_equal(DO(b, do_begin, .kind = kind, .shape = shape, .seed = 2, .text = t.text, .queued = true).code, 0);
}

static void test_1_every_operation_ends_exactly_once_by_completion(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        start_queued(a, b, kind, small);
        ends_once(b, 0, NXC_COMPLETE, 0);
        ends_once(a, 0, NXC_COMPLETE, 0);
    }
    peer_stop(a);
    peer_stop(b);
}

static void test_1_every_operation_ends_exactly_once_by_cancel(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        start_queued(a, b, kind, large);
        assert_end(DO(b, do_cancel, .number = MIB), NXC_CANCELLED, NXC_ECANCELLED);
        ends_once(b, 0, NXC_CANCELLED, NXC_ECANCELLED);
        DO(b, do_cancel); /* too late is fine, and changes nothing */
        ends_once(a, 0, NXC_CANCELLED, NXC_ECANCELLED);
    }
    peer_stop(a);
    peer_stop(b);
}

static void test_1_every_operation_ends_exactly_once_by_its_deadline(void **state)
{
    (void)state;
    struct peer  *a = peer_start(NULL), *b = peer_start(NULL);
    struct answer t = DO(a, do_create, .kind = NXC_WRITE, .shape = large, .seed = 1, .queued = true);
    /* The owner stands still, so that the deadline comes first. */
    peer_freeze(a, 0, 0);
    assert_int_equal(
        DO(b, do_begin, .kind = NXC_WRITE, .shape = large, .ms = 100, .text = t.text, .queued = true).code, 0);
    ends_once(b, 0, NXC_ERRORED, NXC_ETIMEDOUT);
    peer_thaw(a);
    peer_stop(b);
    peer_stop(a);
}

static void test_1_every_operation_ends_exactly_once_by_the_death_of_the_peer(void **state)
{
    (void)state;
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        struct peer *a = peer_start(NULL), *b = peer_start(NULL);
        start_queued(a, b, kind, large);
        peer_kill_at(a, 0, MIB);
        ends_once(b, 0, NXC_ERRORED, NXC_EPEER);
        peer_stop(b);
        test_end(state);
    }
}

static void test_1_every_operation_ends_exactly_once_with_its_connector(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    start_queued(a, b, NXC_READ, large);
    assert_int_equal(DO(a, do_create, .slot = 1, .kind = NXC_READ, .shape = small).code, 0);
    DO(b, do_reach, .number = MIB);
    DO(b, do_close);
    assert_end(DO(b, do_wait, .ms = 0), NXC_CANCELLED, NXC_ECANCELLED);
    ends_once(a, 0, NXC_ERRORED, NXC_EPEER);
    DO(a, do_close); /* with an offer that nobody has begun */
    assert_end(DO(a, do_wait, .slot = 1, .ms = 0), NXC_CANCELLED, NXC_ECANCELLED);
    assert_end(DO(a, do_wait, .slot = 0, .ms = 0), NXC_ERRORED, NXC_EPEER);
    peer_stop(a);
    peer_stop(b);
}

static void test_1_an_offer_that_nobody_begins_waits_until_cancel_or_deadline(void **state)
{
    (void)state;
    struct nxc_connector_opts opts = plain_opts();
    opts.keepalive_ms = 30; /* there is no peer yet whose silence could count */
    struct peer *a = peer_start(&opts);
    assert_int_equal(DO(a, do_create, .kind = NXC_READ, .shape = small, .queued = true).code, 0);
    struct answer still = DO(a, do_wait, .ms = 300);
    assert_int_equal(still.code, NXC_EAGAIN);
    assert_int_equal(still.status, NXC_INITIALIZED);
    DO(a, do_cancel);
    ends_once(a, 0, NXC_CANCELLED, NXC_ECANCELLED);
    struct answer limited = DO(a, do_create, .kind = NXC_WRITE, .shape = small, .queued = true, .ms = 50);
    assert_int_equal(limited.code, 0);
    assert_end(DO(a, do_wait, .ms = -1), NXC_ERRORED, NXC_ETIMEDOUT);
    ends_once(a, 0, NXC_ERRORED, NXC_ETIMEDOUT);
    peer_stop(a);
}

static void test_1_the_event_of_a_freed_operation_never_comes(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    start_queued(a, b, NXC_READ, small);
    assert_end(DO(b, do_wait, .ms = -1), NXC_COMPLETE, 0);
    assert_end(DO(a, do_wait, .ms = -1), NXC_COMPLETE, 0);
    DO(b, do_free);
    assert_int_equal(DO(b, do_poll, .ms = 0).code, 0);
    assert_int_equal(DO(a, do_create, .slot = 1, .kind = NXC_READ, .shape = small, .queued = true).code, 0);
    DO(a, do_free, .slot = 1); /* cancelled by it */
    struct answer event = DO(a, do_poll, .ms = 10000);
    assert_int_equal(event.code, 1);
    assert_int_equal(event.number, 0);
    assert_int_equal(DO(a, do_poll, .ms = 0).code, 0);
    peer_stop(a);
    peer_stop(b);
}

/* ---- 5: beginning begins --------------------------------------------------------- */

static void test_5_beginning_begins_with_no_further_call(void **state)
{
    (void)state;
    const struct shape shapes[] = { { 1, 0, 0 }, { 1, 8, 0 }, { 1, 200 * KIB, 0 }, { 3, 64 * MIB, 0 } };
    struct peer       *a = peer_start(NULL), *b = peer_start(NULL);
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        start_queued(a, b, i % 2 ? NXC_WRITE : NXC_READ, shapes[i / 2]);
        struct answer passive = DO(a, do_poll, .ms = 20000), active = DO(b, do_poll, .ms = 20000);
        assert_int_equal(passive.code, 1);
        assert_int_equal(active.code, 1);
        assert_end(passive, NXC_COMPLETE, 0);
        assert_end(active, NXC_COMPLETE, 0);
        assert_memory(i % 2 ? a : b, 0, i % 2 ? 2 : 1);
    }
    peer_stop(a);
    peer_stop(b);
}

static void do_ask_often(struct worker *w, const struct order *o, struct answer *a)
{
    enum nxc_status first = nxc_op_status(w->slots[o->slot].op);
    for (int i = 0; i < 100000; i++)
        a->number += nxc_op_status(w->slots[o->slot].op) != first;
    answer(w, o, a, 0);
}

static void test_5_asking_for_the_status_changes_nothing(void **state)
{
    (void)state;
    struct peer  *a = peer_start(NULL), *b = peer_start(NULL);
    struct answer t = DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1);
    struct answer asked = DO(a, do_ask_often);
    assert_int_equal(asked.number, 0);
    assert_int_equal(asked.status, NXC_INITIALIZED);
    assert_int_equal(DO(b, do_begin, .kind = NXC_READ, .shape = small, .seed = 2, .text = t.text).code, 0);
    assert_end(DO(b, do_wait, .ms = -1), NXC_COMPLETE, 0);
    assert_int_equal(DO(b, do_ask_often).number, 0);
    assert_memory(b, 0, 1);
    peer_stop(a);
    peer_stop(b);
}

static void test_5_begin_returns_long_before_a_long_transfer_ends(void **state)
{
    (void)state;
    const struct shape shape = LONG_SHAPE; /* a GiB */
    struct peer       *a = peer_start(NULL), *b = peer_start(NULL);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        bool quick = false;
        prove_link(a, b, kind);
        for (int i = 0; i < 3 && !quick; i++) { /* whoever is put aside by the kernel gets another try */
            struct answer t = DO(a, do_create, .kind = kind, .shape = shape);
            struct answer begun = DO(b, do_begin, .kind = kind, .shape = shape, .text = t.text);
            struct answer end = DO(b, do_wait, .ms = -1);
            assert_int_equal(begun.code, 0);
            assert_end(end, NXC_COMPLETE, 0);
            quick = begun.status == NXC_IN_PROGRESS && begun.ns < end.ns / 8;
        }
        assert_true(quick);
    }
    peer_stop(a);
    peer_stop(b);
}

/* ---- 6: what has ended is forgotten ------------------------------------------------- */

enum { BATCH = 200, ROUNDS = SANITIZED ? 50 : 500, WARM = ROUNDS / 10 };
static const char  *op_text;
static nxc_op      *batch[BATCH];
static uint8_t      bytes[BATCH][64];

/* Offers BATCH operations; text: their tickets, a line each. */
static void do_offer_batch(struct worker *w, const struct order *o, struct answer *a)
{
    char  *text = NULL;
    size_t size;
    FILE  *f = open_memstream(&text, &size);
    int    r = 0;
    for (int i = 0; i < BATCH && r == 0; i++) {
        struct nxc_desc d = nxc_desc_host(bytes[i], sizeof bytes[i]);
        r = i % 2 ? nxc_op_create_readable(w->c, &d, 1, NULL, &batch[i])
                  : nxc_op_create_writable(w->c, &d, 1, NULL, &batch[i]);
        if (r == 0)
            r = nxc_op_ticket(batch[i], NXC_B64, &op_text, NULL);
        if (r == 0)
            fprintf(f, "%s\n", op_text);
    }
    fclose(f);
    w->text = text;
    answer(w, o, a, r);
}

/* number: how many of them have completed. */
static void do_end_batch(struct worker *w, const struct order *o, struct answer *a)
{
    answer(w, o, a, 0);
    for (int i = 0; i < BATCH; i++) {
        a->number += nxc_op_wait(batch[i], -1) == 0;
        nxc_op_free(batch[i]);
    }
}

static void do_use_batch(struct worker *w, const struct order *o, struct answer *a)
{
    const char *line = o->text;
    for (int i = 0; i < BATCH; i++, line = strchr(line, '\n') + 1) {
        struct nxc_desc d = nxc_desc_host(bytes[i], sizeof bytes[i]);
        nxc_ticket     *t;
        int             r = nxc_ticket_parse(line, strcspn(line, "\n"), &t);
        if (r == 0)
            r = i % 2 ? nxc_op_begin_read(w->c, t, &d, 1, NULL, &batch[i])
                      : nxc_op_begin_write(w->c, t, &d, 1, NULL, &batch[i]);
        nxc_ticket_free(t);
        if (r < 0) {
            answer(w, o, a, r);
            return;
        }
    }
    do_end_batch(w, o, a);
}

struct measure {
    int       descriptors, threads;
    long long kib;
};

static struct measure measure(struct peer *p)
{
    struct measure m;
    assert_int_equal(sscanf(DO(p, do_measure).text, "%d %d %lld", &m.descriptors, &m.threads, &m.kib), 3);
    return m;
}

/* A link's buffers are as large as they are from the start, but the kernel gives
 * each page when it is first used: uses all of them. */
static void go_round_once(struct peer *passive, struct peer *active)
{
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        start_op(passive, active, 0, kind, (struct shape){ 1, 16 * MIB, 0 });
        assert_end(DO(active, do_wait, .ms = -1), NXC_COMPLETE, 0);
        assert_end(DO(passive, do_wait, .ms = -1), NXC_COMPLETE, 0);
    }
}

static void test_6_a_hundred_thousand_operations_later_nothing_has_grown(void **state)
{
    (void)state;
    struct peer   *p[2] = { peer_start(NULL), peer_start(NULL) };
    struct measure warm[2] = { 0 };
    go_round_once(p[0], p[1]);
    go_round_once(p[1], p[0]);
    for (int round = 0; round < ROUNDS; round++) {
        struct peer  *passive = p[round % 2], *active = p[!(round % 2)];
        struct answer tickets = DO(passive, do_offer_batch);
        assert_int_equal(tickets.code, 0);
        assert_int_equal(DO(active, do_use_batch, .text = tickets.text).number, BATCH);
        assert_int_equal(DO(passive, do_end_batch).number, BATCH);
        for (int i = 0; i < 2 && round == WARM; i++)
            warm[i] = measure(p[i]);
    }
    const struct measure end[2] = { measure(p[0]), measure(p[1]) };
    for (int i = 0; i < 2; i++) {
        struct measure m = end[i];
        assert_int_equal(m.descriptors, warm[i].descriptors);
        assert_int_equal(m.threads, warm[i].threads);
        if (!SANITIZED && m.kib >= warm[i].kib + 1024)
            fail_msg("resident memory went from %lld to %lld KiB", warm[i].kib, m.kib);
        peer_stop(p[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_1_every_operation_ends_exactly_once_by_completion),
        PAIR_TEST(test_1_every_operation_ends_exactly_once_by_cancel),
        PAIR_TEST(test_1_every_operation_ends_exactly_once_by_its_deadline),
        PAIR_TEST(test_1_every_operation_ends_exactly_once_by_the_death_of_the_peer),
        PAIR_TEST(test_1_every_operation_ends_exactly_once_with_its_connector),
        PAIR_TEST(test_1_an_offer_that_nobody_begins_waits_until_cancel_or_deadline),
        PAIR_TEST(test_1_the_event_of_a_freed_operation_never_comes),
        PAIR_TEST(test_5_beginning_begins_with_no_further_call),
        PAIR_TEST(test_5_asking_for_the_status_changes_nothing),
        PAIR_TEST(test_5_begin_returns_long_before_a_long_transfer_ends),
        PAIR_TEST(test_6_a_hundred_thousand_operations_later_nothing_has_grown),
    };
    take_transport(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
