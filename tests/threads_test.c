/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads and two connectors of one process: any thread may call any
 * function. Made for ThreadSanitizer as much as for its assertions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nxconnect/nxconnect.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull

enum { THREADS = 8, ROUNDS = 120, FORK_ROUNDS = 500, BIG = 3 << 20, SLACK_MS = 1000 };

static const char    *transport = "shm";
static nxc_connector *c[2];

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool over_ucx(void)
{
    return !strcmp(transport, "ucx");
}

static struct nxc_connector_opts options(void)
{
    struct nxc_connector_opts o = NXC_CONNECTOR_OPTS_INIT;
    o.transports = transport;
    o.listen = "127.0.0.1";
    if (over_ucx())
        o.peers = NXC_PEERS_ANY;
    return o;
}

static int open_both(void **state)
{
    struct nxc_connector_opts o = options();
    (void)state;
    alarm(100);
    int r = nxc_connector_new(&o, &c[0]);
    return r < 0 ? r : nxc_connector_new(&o, &c[1]);
}

static int close_both(void **state)
{
    (void)state;
    nxc_connector_free(c[0]);
    nxc_connector_free(c[1]);
    c[0] = c[1] = NULL;
    return 0;
}

/* A readable of d[0] at c[passive] and the read of it into d[1] by the other. */
static void start_pair(int passive, struct nxc_desc d[2], const struct nxc_op_opts *opts, nxc_op *ret_ops[2])
{
    const char *json;
    size_t      len;
    nxc_ticket *t;
    if (nxc_op_create_readable(c[passive], &d[0], 1, opts, &ret_ops[0]) < 0 ||
        nxc_op_ticket(ret_ops[0], NXC_B64, &json, &len) < 0 || nxc_ticket_parse(json, len, &t) < 0 ||
        nxc_op_begin_read(c[!passive], t, &d[1], 1, opts, &ret_ops[1]) < 0)
        abort();
    nxc_ticket_free(t);
}

static nxc_op *offer(uint8_t *byte)
{
    struct nxc_desc d = nxc_desc_host(byte, 1);
    nxc_op         *op;
    assert_int_equal(nxc_op_create_writable(c[0], &d, 1, NULL, &op), 0);
    return op;
}

/* ---- all at once ---------------------------------------------------------------- */

struct busy {
    unsigned  seed;
    int       me, completed, cancelled, wrong;
    pthread_t thread;
};

/* Waits in one of the ways there are: for ever, or a little, again and again. */
static int end_of(nxc_op *op, unsigned *seed)
{
    int r;
    if (rand_r(seed) % 2)
        return nxc_op_wait(op, -1);
    while ((r = nxc_op_wait(op, rand_r(seed) % 3)) == NXC_EAGAIN)
        ;
    return r;
}

static void one_round(struct busy *b, uint8_t *from, uint8_t *to)
{
    size_t          size = rand_r(&b->seed) % 4 ? rand_r(&b->seed) % 70000 : BIG;
    struct nxc_desc d[2] = { nxc_desc_host(from, size), nxc_desc_host(to, size) };
    int             cancel = rand_r(&b->seed) % 4; /* passive, active, both, nobody */
    nxc_op         *ops[2];
    memset(from, 1 + b->seed % 200, size);
    start_pair(b->me % 2, d, NULL, ops);
    if (cancel == 0 || cancel == 2)
        nxc_op_cancel(ops[0]);
    if (cancel == 1 || cancel == 2)
        nxc_op_cancel(ops[1]);
    int active = end_of(ops[1], &b->seed);
    if (active != 0)
        nxc_op_cancel(ops[0]); /* which may never have heard of a begin that was cancelled at once */
    int passive = end_of(ops[0], &b->seed);
    b->completed += active == 0;
    b->cancelled += active != 0;
    if (cancel == 3 || !over_ucx()) /* a NIXL worker is not told that the other side has cancelled */
        b->wrong += (active == 0) != (passive == 0);
    b->wrong += active == 0 && memcmp(from, to, size) != 0;
    nxc_op_free(ops[b->seed % 2]);
    nxc_op_free(ops[!(b->seed % 2)]);
}

static void *be_busy(void *arg)
{
    struct busy *b = arg;
    uint8_t     *memory = malloc(2 * BIG);
    if (!memory)
        abort();
    for (int i = 0; i < ROUNDS; i++)
        one_round(b, memory, memory + BIG);
    free(memory);
    return NULL;
}

static void test_eight_threads_create_begin_cancel_and_wait_at_once(void **state)
{
    struct busy busy[THREADS];
    int         completed = 0, cancelled = 0;
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        busy[i] = (struct busy){ .seed = 77u * (unsigned)(i + 1), .me = i };
        assert_int_equal(pthread_create(&busy[i].thread, NULL, be_busy, &busy[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(busy[i].thread, NULL);
        assert_int_equal(busy[i].wrong, 0);
        completed += busy[i].completed;
        cancelled += busy[i].cancelled;
    }
    print_message("%d completed, %d were cancelled\n", completed, cancelled);
    assert_true(completed && cancelled);
}

/* ---- the art of waiting ------------------------------------------------------------ */

struct waiter {
    nxc_op   *op;
    int64_t   ms;
    int       result;
    pthread_t thread;
};

static void *do_wait(void *arg)
{
    struct waiter *w = arg;
    w->result = nxc_op_wait(w->op, w->ms);
    return NULL;
}

static struct waiter *wait_elsewhere(nxc_op *op, int64_t ms)
{
    struct waiter *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->op = op;
    w->ms = ms;
    assert_int_equal(pthread_create(&w->thread, NULL, do_wait, w), 0);
    return w;
}

static int result_of(struct waiter *w)
{
    pthread_join(w->thread, NULL);
    int r = w->result;
    free(w);
    return r;
}

static void wait_in_time(nxc_op *op)
{
    static const int64_t limits[] = { 0, 1, 5, 20 };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        uint64_t since = now_ns();
        assert_int_equal(nxc_op_wait(op, limits[i]), NXC_EAGAIN);
        uint64_t ns = now_ns() - since;
        assert_true(ns >= (uint64_t)limits[i] * MS);
        assert_true(ns < (uint64_t)(limits[i] + SLACK_MS) * MS);
    }
}

static void test_a_wait_with_a_limit_returns_in_time(void **state)
{
    uint8_t bytes[2];
    nxc_op *mine = offer(&bytes[0]), *other = offer(&bytes[1]);
    (void)state;
    wait_in_time(mine);
    struct waiter *lead = wait_elsewhere(other, -1); /* who waits for good does not hold up who does not */
    wait_in_time(mine);
    nxc_op_cancel(other);
    assert_int_equal(result_of(lead), NXC_ECANCELLED);
    wait_in_time(mine);
    nxc_op_free(mine);
    nxc_op_free(other);
}

static void test_all_who_wait_for_one_operation_are_told(void **state)
{
    uint8_t        byte;
    nxc_op        *op = offer(&byte);
    struct waiter *waiters[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++)
        waiters[i] = wait_elsewhere(op, i % 2 ? -1 : 60000);
    nxc_op_wait(op, 10);
    nxc_op_cancel(op);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(result_of(waiters[i]), NXC_ECANCELLED);
    nxc_op_free(op);
}

/* Whoever drives for the others leaves; one of them must take over, in any order. */
static void test_a_waiter_that_leaves_leaves_nobody_behind(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        uint8_t        bytes[THREADS], from = 1;
        nxc_op        *ops[THREADS];
        struct waiter *waiters[THREADS];
        for (int i = 0; i < THREADS; i++) {
            ops[i] = offer(&bytes[i]);
            waiters[i] = wait_elsewhere(ops[i], i % 3 ? -1 : round % 5);
        }
        for (int i = 0; i < THREADS; i++) {
            int             at = (i * 3 + round) % THREADS; /* each one, in some order */
            struct nxc_desc d = nxc_desc_host(&from, 1);
            const char     *json;
            nxc_ticket     *t;
            nxc_op         *op;
            assert_int_equal(nxc_op_ticket(ops[at], NXC_B64, &json, NULL), 0);
            assert_int_equal(nxc_ticket_parse(json, strlen(json), &t), 0);
            assert_int_equal(nxc_op_begin_write(c[1], t, &d, 1, NULL, &op), 0);
            nxc_ticket_free(t);
            assert_int_equal(nxc_op_wait(op, -1), 0);
            nxc_op_free(op);
        }
        for (int i = 0; i < THREADS; i++) {
            int r = result_of(waiters[i]);
            assert_true(r == 0 || (r == NXC_EAGAIN && i % 3 == 0));
            assert_int_equal(nxc_op_wait(ops[i], -1), 0);
            nxc_op_free(ops[i]);
        }
    }
}

static bool readable(nxc_connector *of, int ms)
{
    struct pollfd pfd = { .fd = nxc_connector_fd(of), .events = POLLIN };
    return poll(&pfd, 1, ms) == 1;
}

/* Right after a caller has driven, the thread has to learn of a new time to wake up. */
static void test_a_deadline_set_while_callers_come_and_go_is_kept(void **state)
{
    struct nxc_op_opts opts = NXC_OP_OPTS_INIT;
    uint8_t            bytes[2] = { 1, 0 };
    struct nxc_desc    d[2] = { nxc_desc_host(&bytes[0], 1), nxc_desc_host(&bytes[1], 1) };
    nxc_op            *ops[2], *late;
    opts.queued = 1;
    opts.timeout_ms = 2;
    for (int round = 0; round < 60; round++) {
        close_both(state);
        assert_int_equal(open_both(state), 0);
        start_pair(round % 2, d, NULL, ops);
        assert_int_equal(nxc_op_wait(ops[1], -1), 0);
        assert_int_equal(nxc_op_wait(ops[0], -1), 0);
        assert_int_equal(nxc_op_create_readable(c[0], d, 1, &opts, &late), 0);
        assert_true(readable(c[0], SLACK_MS));
        assert_int_equal(nxc_op_wait(late, 0), NXC_ETIMEDOUT);
        nxc_op_free(late);
        nxc_op_free(ops[0]);
        nxc_op_free(ops[1]);
    }
}

/* A write larger than what the fabric takes at once goes on by itself, the second one
 * on a link too: no beat is near that would wake the thread by chance. */
static void test_a_large_write_that_nobody_waits_for_goes_on(void **state)
{
    enum { SIZE = 32 << 20 };
    struct nxc_op_opts opts = NXC_OP_OPTS_INIT;
    uint8_t           *from = malloc(SIZE), *to = malloc(SIZE);
    struct nxc_desc    here = nxc_desc_host(from, SIZE), there = nxc_desc_host(to, SIZE);
    struct nxc_event   event;
    const char        *json;
    nxc_ticket        *t;
    nxc_op            *in, *out;
    (void)state;
    opts.queued = 1;
    for (int round = 1; round <= 4; round++) {
        memset(from, round, SIZE);
        assert_int_equal(nxc_op_create_writable(c[0], &there, 1, &opts, &in), 0);
        assert_int_equal(nxc_op_ticket(in, NXC_B64, &json, NULL), 0);
        assert_int_equal(nxc_ticket_parse(json, strlen(json), &t), 0);
        assert_int_equal(nxc_op_begin_write(c[1], t, &here, 1, &opts, &out), 0);
        assert_true(readable(c[0], SLACK_MS));
        assert_true(readable(c[1], SLACK_MS));
        assert_int_equal(nxc_connector_next(c[0], &event, 1), 1);
        assert_int_equal(event.status, NXC_COMPLETE);
        assert_memory_equal(from, to, SIZE);
        nxc_ticket_free(t);
        nxc_op_free(in);
        nxc_op_free(out);
    }
    free(from);
    free(to);
}

/* ---- events ---------------------------------------------------------------------------- */

static void test_the_descriptor_is_readable_exactly_while_next_has_something(void **state)
{
    struct nxc_op_opts opts = NXC_OP_OPTS_INIT;
    uint8_t            bytes[2] = { 1, 0 };
    struct nxc_desc    d[2] = { nxc_desc_host(&bytes[0], 1), nxc_desc_host(&bytes[1], 1) };
    struct nxc_event   events[8];
    nxc_op            *ops[5][2];
    (void)state;
    opts.queued = 1;
    assert_false(readable(c[1], 0));
    for (int i = 0; i < 5; i++) {
        opts.arg = &ops[i];
        start_pair(0, d, &opts, ops[i]);
        assert_int_equal(nxc_op_wait(ops[i][1], -1), 0);
    }
    assert_true(readable(c[1], 0));
    assert_int_equal(nxc_connector_next(c[1], events, 2), 2);
    assert_true(readable(c[1], 0)); /* level-triggered */
    nxc_op_free(ops[4][1]);         /* its event goes with it */
    assert_int_equal(nxc_connector_next(c[1], events + 2, 1), 1);
    assert_true(readable(c[1], 0));
    nxc_op_free(ops[3][1]); /* the last one */
    assert_false(readable(c[1], 0));
    assert_int_equal(nxc_connector_next(c[1], events + 3, 1), 0);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(events[i].op, ops[i][1]);
        assert_ptr_equal(events[i].arg, &ops[i]);
        assert_int_equal(events[i].status, NXC_COMPLETE);
        nxc_op_free(ops[i][1]);
    }
    for (int i = 0; i < 5; i++)
        nxc_op_free(ops[i][0]);
}

/* ThreadSanitizer does not see the order that comes by way of sockets and rings. */
static pthread_mutex_t after_begin = PTHREAD_MUTEX_INITIALIZER;

struct eater {
    nxc_connector *c;
    int            eaten, empty;
};

static void *eat_events(void *arg)
{
    struct eater    *e = arg;
    struct nxc_event events[16];
    while (e->eaten < THREADS * 50) {
        readable(e->c, -1);
        int n = nxc_connector_next(e->c, events, 16);
        e->empty += n == 0;
        e->eaten += n;
        pthread_mutex_lock(&after_begin);
        pthread_mutex_unlock(&after_begin);
        for (int i = 0; i < n; i++)
            nxc_op_free(events[i].op);
    }
    return NULL;
}

static void *feed_events(void *arg)
{
    static uint8_t     byte;
    struct nxc_op_opts opts = NXC_OP_OPTS_INIT;
    struct nxc_desc    d[2] = { nxc_desc_host(&byte, 0), nxc_desc_host(&byte, 0) };
    nxc_op            *ops[2];
    opts.queued = 1;
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&after_begin);
        start_pair(0, d, &opts, ops);
        pthread_mutex_unlock(&after_begin);
    }
    return arg;
}

static void test_one_thread_frees_what_others_start(void **state)
{
    struct eater eaters[2] = { { .c = c[0] }, { .c = c[1] } };
    pthread_t    eating[2], feeding[THREADS];
    (void)state;
    for (int i = 0; i < THREADS + 2; i++)
        pthread_create(i < 2 ? &eating[i] : &feeding[i - 2], NULL, i < 2 ? eat_events : feed_events,
                       i < 2 ? &eaters[i] : NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(feeding[i], NULL);
    for (int i = 0; i < 2; i++) {
        pthread_join(eating[i], NULL);
        assert_int_equal(eaters[i].empty, 0); /* readable, and nothing there */
        assert_false(readable(eaters[i].c, 0));
    }
}

/* ---- fork ------------------------------------------------------------------------ */

static void *keep_forking(void *arg)
{
    const atomic_bool *over = arg;
    while (!atomic_load(over)) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            abort();
    }
    return arg;
}

/* A fork that comes in the middle of it finds a connector of which only a part is there. */
static void test_a_process_may_fork_while_connectors_come_and_go(void **state)
{
    struct nxc_connector_opts o = options();
    atomic_bool               over = false;
    nxc_connector            *brief;
    pthread_t                 forking;
    (void)state;
    pthread_create(&forking, NULL, keep_forking, &over);
    for (int i = over_ucx() ? FORK_ROUNDS / 10 : FORK_ROUNDS; i > 0; i--) { /* UCX takes its time */
        assert_int_equal(nxc_connector_new(&o, &brief), 0);
        nxc_connector_free(brief);
    }
    atomic_store(&over, true);
    pthread_join(forking, NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_both, close_both)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_eight_threads_create_begin_cancel_and_wait_at_once),
        TEST(test_a_wait_with_a_limit_returns_in_time),
        TEST(test_all_who_wait_for_one_operation_are_told),
        TEST(test_a_waiter_that_leaves_leaves_nobody_behind),
        TEST(test_a_deadline_set_while_callers_come_and_go_is_kept),
        TEST(test_a_large_write_that_nobody_waits_for_goes_on),
        TEST(test_the_descriptor_is_readable_exactly_while_next_has_something),
        TEST(test_one_thread_frees_what_others_start),
        TEST(test_a_process_may_fork_while_connectors_come_and_go),
    };
    if (argc > 1)
        transport = argv[1];
    bool none = open_both(NULL) == NXC_ENOTSUP;
    close_both(NULL);
    return none ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
