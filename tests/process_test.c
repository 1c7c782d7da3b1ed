/* SPDX-License-Identifier: Apache-2.0 */
/* A guest in somebody's process: what the library leaves behind, uses while
 * nothing happens, and never touches. */
#include "tests/pair.h"
#include "tests/proc.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const struct shape small = { 1, 4000, 0 }, middle = { 1, 300 * KIB, 0 }, large = LONG_SHAPE;

static void completes(struct peer *a, struct peer *b, enum nxc_kind kind, struct shape shape)
{
    start_op(a, b, 0, kind, shape);
    assert_end(DO(b, do_wait, .ms = -1), NXC_COMPLETE, 0);
    assert_end(DO(a, do_wait, .ms = -1), NXC_COMPLETE, 0);
}

/* Some of everything: sizes, ends, a refusal. */
static void busy_day(struct peer *a, struct peer *b)
{
    completes(a, b, NXC_READ, small);
    completes(b, a, NXC_WRITE, middle);
    completes(a, b, NXC_WRITE, large);
    start_op(b, a, 1, NXC_READ, large);
    DO(a, do_cancel, .slot = 1, .number = MIB);
    DO(b, do_wait, .slot = 1, .ms = -1);
    struct answer t = DO(a, do_create, .slot = 2, .kind = NXC_READ, .shape = small);
    char         *ticket = strdup(t.text);
    DO(a, do_cancel, .slot = 2);
    assert_int_equal(DO(b, do_begin, .slot = 2, .kind = NXC_READ, .shape = small, .text = ticket).code, 0);
    assert_end(DO(b, do_wait, .slot = 2, .ms = -1), NXC_ERRORED, NXC_EACCESS);
    assert_int_equal(DO(b, do_begin, .slot = 2, .kind = NXC_WRITE, .shape = small, .text = ticket).code, NXC_EKIND);
    free(ticket);
}

/* ---- what stays ---------------------------------------------------------------------- */

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

static void do_find_mapping(struct worker *w, const struct order *o, struct answer *a)
{
    answer(w, o, a, proc_maps(o->text));
}

static void assert_same(struct measure is, struct measure was)
{
    bool threads = SANITIZED || is.threads == was.threads; /* a sanitizer may have one of its own */
    if (is.descriptors != was.descriptors || !threads)
        fail_msg("%d descriptors and %d threads, before %d and %d", is.descriptors, is.threads, was.descriptors,
                 was.threads);
}

static void test_nothing_stays_after_the_connector_is_freed(void **state)
{
    (void)state;
    struct peer    *p[2] = { peer_fork(NULL), peer_fork(NULL) };
    struct measure before[2] = { measure(p[0]), measure(p[1]) };
    for (int i = 0; i < 2; i++)
        assert_int_equal(DO(p[i], do_open).code, 0);
    busy_day(p[0], p[1]);
    start_op(p[0], p[1], 3, NXC_READ, large); /* and in the middle of it */
    DO(p[1], do_reach, .slot = 3, .number = MIB);
    for (int i = 0; i < 2; i++) {
        DO(p[i], do_close);
        assert_same(measure(p[i]), before[i]);
        assert_false(DO(p[i], do_find_mapping, .text = "memfd").code);
        peer_stop(p[i]);
    }
}

static void test_nothing_of_a_killed_peer_stays(void **state)
{
    (void)state;
    struct peer   *a = peer_start(NULL);
    struct measure before = measure(a);
    for (int i = 0; i < 3; i++) {
        struct peer *b = peer_start(NULL);
        completes(a, b, NXC_READ, small);
        completes(b, a, NXC_READ, small);
        start_op(a, b, 1, i & 1 ? NXC_WRITE : NXC_READ, large);
        peer_kill_at(b, 1, MIB);
        assert_end(DO(a, do_wait, .slot = 1, .ms = -1), NXC_ERRORED, NXC_EPEER);
    }
    /* The links of the dead that carried no operation give no event to wait for. */
    for (int i = 0; i < 500 && measure(a).descriptors != before.descriptors; i++)
        DO(a, do_poll, .ms = 10);
    assert_same(measure(a), before);
    assert_false(DO(a, do_find_mapping, .text = "memfd").code);
    peer_stop(a);
}

static void test_objects_may_be_freed_in_any_order(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    start_op(a, b, 0, NXC_READ, large);
    start_op(b, a, 1, NXC_WRITE, small);
    assert_int_equal(DO(a, do_create, .slot = 2, .kind = NXC_READ, .shape = small, .queued = true).code, 0);
    DO(a, do_close);
    assert_end(DO(a, do_status, .slot = 2), NXC_CANCELLED, NXC_ECANCELLED);
    DO(a, do_free, .slot = 2);
    DO(a, do_free, .slot = 0);
    DO(b, do_close);
    peer_stop(a); /* which frees the rest */
    peer_stop(b);
}

/* ---- idle ------------------------------------------------------------------------------- */

enum { OFFERS = 10000 };
static nxc_op *offers[OFFERS];
static uint8_t bytes[OFFERS];

static void do_offer_many(struct worker *w, const struct order *o, struct answer *a)
{
    int r = 0;
    memset(bytes, 1, sizeof bytes);
    memset(offers, 1, sizeof offers);
    long long before = proc_resident_kib();
    for (int i = 0; i < OFFERS && r == 0; i++) {
        struct nxc_desc d = nxc_desc_host(&bytes[i], 1);
        r = nxc_op_create_readable(w->c, &d, 1, NULL, &offers[i]);
    }
    a->number = (uint64_t)(proc_resident_kib() - before);
    answer(w, o, a, r);
}

static void do_idle(struct worker *w, const struct order *o, struct answer *a)
{
    struct pollfd pfd = { .fd = nxc_connector_fd(w->c), .events = POLLIN };
    uint64_t      before = proc_cpu_ns();
    int           ready = poll(&pfd, 1, (int)o->ms);
    a->number = proc_cpu_ns() - before;
    answer(w, o, a, ready);
}

static void do_free_many(struct worker *w, const struct order *o, struct answer *a)
{
    for (int i = 0; i < OFFERS; i++)
        nxc_op_free(offers[i]);
    answer(w, o, a, 0);
}

static void test_ten_thousand_waiting_offers_cost_little_memory_and_no_time(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    completes(a, b, NXC_READ, small); /* with a link */
    struct answer offered = DO(a, do_offer_many);
    assert_int_equal(offered.code, 0);
    if (!SANITIZED && offered.number > 2 * OFFERS)
        fail_msg("%d offers hold %llu KiB", OFFERS, (unsigned long long)offered.number);
    DO(a, do_idle, .ms = 100); /* what the begin has left to do */
    struct answer idle = DO(a, do_idle, .ms = 1000);
    assert_int_equal(idle.code, 0);
    if (idle.number >= 10 * MS)
        fail_msg("an idle second took %llu us of CPU", (unsigned long long)idle.number / 1000);
    DO(a, do_free_many);
    completes(a, b, NXC_READ, small);
    peer_stop(a);
    peer_stop(b);
}

/* ---- fork --------------------------------------------------------------------------------- */

/* What a child of fork gets: 0, or the line of the first surprise. */
static int child_of(nxc_connector *c, nxc_op *running, nxc_op *ended)
{
#define EXPECT(what)         \
    do {                     \
        if (!(what))         \
            return __LINE__; \
    } while (0)
    static uint8_t   byte;
    struct nxc_desc  d = nxc_desc_host(&byte, 1);
    struct nxc_event event;
    struct nxc_stats stats = { .size = sizeof stats };
    nxc_region      *region;
    nxc_op          *op;
    const char      *json;
    EXPECT(nxc_connector_fd(c) == NXC_ESTATE);
    EXPECT(nxc_connector_next(c, &event, 1) == NXC_ESTATE);
    EXPECT(nxc_connector_stats(c, &stats) == NXC_ESTATE);
    EXPECT(nxc_region_new(c, &d, &region) == NXC_ESTATE);
    EXPECT(nxc_op_create_readable(c, &d, 1, NULL, &op) == NXC_ESTATE);
    EXPECT(nxc_op_create_writable(c, &d, 1, NULL, &op) == NXC_ESTATE);
    EXPECT(nxc_op_ticket(running, NXC_B64, &json, NULL) == NXC_ESTATE);
    EXPECT(nxc_op_cancel(running) == NXC_ESTATE);
    EXPECT(nxc_op_wait(running, -1) == NXC_ESTATE);
    EXPECT(nxc_op_status(running) == NXC_INITIALIZED);
    EXPECT(nxc_op_status(ended) == NXC_COMPLETE);
    EXPECT(nxc_connector_name(c));
    nxc_op_free(running);
    nxc_connector_free(c);
    nxc_op_free(ended);
    if (SANITIZED)
        return 0; /* ThreadSanitizer wants no new threads here */
    /* A connector of its own works as any other. */
    struct nxc_connector_opts opts = plain_opts();
    EXPECT(nxc_connector_new(&opts, &c) == 0);
    EXPECT(nxc_op_create_readable(c, &d, 1, NULL, &op) == 0);
    nxc_op_free(op);
    nxc_connector_free(c);
    return 0;
#undef EXPECT
}

/* Slot 0 has ended, slot 1 is an offer. code: what child_of() returned. */
static void do_fork_and_look(struct worker *w, const struct order *o, struct answer *a)
{
    int   status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        int line = child_of(w->c, w->slots[1].op, w->slots[0].op);
        _exit(line > 255 ? 255 : line);
    }
    waitpid(pid, &status, 0);
    answer(w, o, a, 0);
    a->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_a_child_of_fork_may_only_free_and_the_parent_goes_on(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    completes(a, b, NXC_READ, small);
    struct answer t = DO(a, do_create, .slot = 1, .kind = NXC_WRITE, .shape = small, .seed = 1);
    char         *ticket = strdup(t.text);
    for (int i = 0; i < 3; i++)
        assert_int_equal(DO(a, do_fork_and_look).code, 0);
    assert_int_equal(DO(b, do_begin, .slot = 1, .kind = NXC_WRITE, .shape = small, .seed = 2, .text = ticket).code, 0);
    free(ticket);
    assert_end(DO(b, do_wait, .slot = 1, .ms = -1), NXC_COMPLETE, 0);
    assert_end(DO(a, do_wait, .slot = 1, .ms = -1), NXC_COMPLETE, 0);
    assert_memory(a, 1, 2);
    start_op(a, b, 2, NXC_READ, large); /* with a transfer under way */
    DO(b, do_reach, .slot = 2, .number = MIB);
    DO(b, do_create, .slot = 1, .kind = NXC_READ, .shape = small);
    assert_int_equal(DO(a, do_fork, .number = 0).code, 0);
    assert_int_equal(DO(b, do_fork, .number = 0).code, 0);
    assert_end(DO(b, do_wait, .slot = 2, .ms = -1), NXC_COMPLETE, 0);
    assert_end(DO(a, do_wait, .slot = 2, .ms = -1), NXC_COMPLETE, 0);
    assert_memory(b, 2, 1);
    peer_stop(a);
    peer_stop(b);
}

/* ---- never touched ----------------------------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

/* A text of all signal handlers and the environment, to compare. */
static void do_describe(struct worker *w, const struct order *o, struct answer *a)
{
    size_t size;
    FILE  *f = open_memstream(&w->text, &size);
    for (int i = 1; i < SIGRTMAX; i++) {
        struct sigaction now;
        if (sigaction(i, NULL, &now) == 0)
            fprintf(f, "%d %p %x\n", i, (void *)(uintptr_t)now.sa_handler, (unsigned)now.sa_flags);
    }
    for (char **e = environ; *e; e++)
        fprintf(f, "%s\n", *e);
    fprintf(f, "%d signals\n", (int)signals);
    fclose(f);
    answer(w, o, a, 0);
}

static void do_catch_pipe(struct worker *w, const struct order *o, struct answer *a)
{
    signal(SIGPIPE, count_signal);
    answer(w, o, a, 0);
}

static void test_signal_handlers_and_the_environment_are_left_alone(void **state)
{
    (void)state;
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        struct peer *a = peer_fork(NULL), *b = peer_start(NULL);
        DO(a, do_catch_pipe);
        char *before = strdup(DO(a, do_describe).text);
        assert_int_equal(DO(a, do_open).code, 0);
        busy_day(a, b);
        start_op(a, b, 0, kind, large);
        peer_kill_at(b, 0, MIB); /* writes into a socket whose reader is gone */
        assert_end(DO(a, do_wait, .ms = -1), NXC_ERRORED, NXC_EPEER);
        DO(a, do_close);
        assert_string_equal(DO(a, do_describe).text, before);
        free(before);
        peer_stop(a);
        test_end(state);
    }
}

static void do_redirect(struct worker *w, const struct order *o, struct answer *a)
{
    dup2((int)o->number, STDOUT_FILENO);
    dup2((int)o->number, STDERR_FILENO);
    answer(w, o, a, 0);
}

static void test_the_library_prints_nothing(void **state)
{
    (void)state;
    int  fds[2];
    char said[200] = "";
    assert_int_equal(pipe(fds), 0);
    struct peer *p[2] = { peer_fork(NULL), peer_fork(NULL) };
    for (int i = 0; i < 2; i++) {
        DO(p[i], do_redirect, .number = (uint64_t)fds[1]);
        assert_int_equal(DO(p[i], do_open).code, 0);
    }
    busy_day(p[0], p[1]);
    start_op(p[0], p[1], 0, NXC_READ, large);
    peer_kill_at(p[1], 0, MIB);
    assert_end(DO(p[0], do_wait, .ms = -1), NXC_ERRORED, NXC_EPEER);
    peer_stop(p[0]);
    close(fds[1]);
    ssize_t n = read(fds[0], said, sizeof said - 1);
    close(fds[0]);
    if (n != 0)
        fail_msg("it said \"%s\"", said);
}

static void test_a_native_worker_has_no_ucx_in_its_memory(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    busy_day(a, b);
    assert_true(DO(a, do_find_mapping, .text = "libsodium").code); /* so that the look itself is known to work */
    assert_false(DO(a, do_find_mapping, .text = "libuc").code);
    assert_false(DO(b, do_find_mapping, .text = "libuc").code);
    peer_stop(a);
    peer_stop(b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_nothing_stays_after_the_connector_is_freed),
        PAIR_TEST(test_nothing_of_a_killed_peer_stays),
        PAIR_TEST(test_objects_may_be_freed_in_any_order),
        PAIR_TEST(test_ten_thousand_waiting_offers_cost_little_memory_and_no_time),
        PAIR_TEST(test_a_child_of_fork_may_only_free_and_the_parent_goes_on),
        PAIR_TEST(test_signal_handlers_and_the_environment_are_left_alone),
        PAIR_TEST(test_the_library_prints_nothing),
        PAIR_TEST(test_a_native_worker_has_no_ucx_in_its_memory),
    };
    take_transport(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
