/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers with NIXL workers, over a fabric that does what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/notif.h"
#include "dialect/nixl.h"

#include <stdio.h>
#include <string.h>

enum { REQUESTS = 64, DESCS = 20, CONNECT_MS = 3000, KEEPALIVE_MS = 1000 };

/* ---- the fabric ------------------------------------------------------------------ */

struct request {
    char              what; /* 'm'ove, 'f'lush, 'n'otify */
    struct nxi_access access;
    void             *token;
    bool              over;
};

static struct {
    struct nxi_fabric fabric;
    struct request    made[REQUESTS];
    size_t            n;
    int               at_once; /* so many requests are done when the call returns */
    int               refuse;  /* the code of the next request, once */
    int               connects, closes, unpacks, forgets;
    void             *owner; /* of the last remote */
    char              note[256];
} fake;

static int request(char what, const struct nxi_access *a, void *token)
{
    int code = fake.refuse;
    fake.refuse = 0;
    if (code)
        return nxi_fail(code, "refused");
    assert_true(fake.n < REQUESTS);
    struct request *r = &fake.made[fake.n++];
    *r = (struct request){ .what = what, .token = token };
    if (a)
        r->access = *a;
    if (!fake.at_once)
        return 0;
    fake.at_once--;
    r->over = true;
    return 1;
}

static int fake_connect(struct nxi_fabric *f, const uint8_t *address, size_t len, void *owner, struct nxi_remote **ret_r)
{
    assert_int_equal(len, 4);
    assert_memory_equal(address, "addr", 4);
    fake.connects++;
    fake.owner = owner;
    *ret_r = (struct nxi_remote *)f;
    return 0;
}

static void fake_close(struct nxi_remote *r)
{
    (void)r;
    fake.closes++;
}

static int fake_unpack(struct nxi_remote *r, const uint8_t *packed, struct nxi_rkey **ret_k)
{
    (void)r;
    *ret_k = nxi_malloc(1);
    if (!*ret_k)
        return nxi_fail(NXC_ENOMEM, "no memory for a key");
    *(uint8_t *)*ret_k = packed[0];
    fake.unpacks++;
    return 0;
}

static void fake_forget(struct nxi_rkey *k)
{
    fake.forgets++;
    free(k);
}

static int fake_move(struct nxi_remote *r, const struct nxi_access *a, void *token)
{
    (void)r;
    return request('m', a, token);
}

static int fake_flush(struct nxi_remote *r, void *token)
{
    (void)r;
    return request('f', NULL, token);
}

static int fake_notify(struct nxi_remote *r, const uint8_t *payload, size_t len, void *token)
{
    struct nxi_notif n;
    (void)r;
    assert_int_equal(nxi_notif_decode(payload, len, &n), 0);
    snprintf(fake.note, sizeof fake.note, "%.*s: %.*s", (int)n.name.len, n.name.ptr, (int)n.msg.len, n.msg.ptr);
    return request('n', NULL, token);
}

static int fake_poll(struct nxi_fabric *f, uint64_t now)
{
    (void)f, (void)now;
    return 0;
}

static const struct nxi_onesided_ops fake_onesided = {
    .connect = fake_connect,
    .close = fake_close,
    .unpack = fake_unpack,
    .forget = fake_forget,
    .move = fake_move,
    .flush = fake_flush,
    .notify = fake_notify,
};
static const struct nxi_fabric_ops fake_ops = { .name = "fake", .poll = fake_poll, .onesided = &fake_onesided };

/* ---- the worker ------------------------------------------------------------------- */

static struct nxi_timers  timers;
static struct nxi_native *native;
static _Atomic uint64_t   links;

/* A transfer and how it ended. */
struct transfer {
    struct nxi_xfer        x;
    struct nxc_desc        ours[DESCS], theirs[DESCS];
    struct nxi_mem        *mems[DESCS];
    const struct nxi_agent_desc *covers[DESCS];
    struct nxi_nixl_target target;
    int                    ends, error;
    enum nxc_status        status;
    char                   text[128];
};

static void on_begun(void *arg, struct nxi_xfer *x)
{
    (void)arg, (void)x;
}

static void on_ended(void *arg, struct nxi_xfer *x, enum nxc_status status, int error, const char *text)
{
    struct transfer *t = (struct transfer *)((char *)x - offsetof(struct transfer, x));
    (void)arg;
    t->ends++;
    t->status = status;
    t->error = error;
    snprintf(t->text, sizeof t->text, "%s", text);
}

static int setup(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.fabric.ops = &fake_ops;
    const struct nxi_native_config config = {
        .timers = &timers,
        .onesided = &fake.fabric,
        .agent_name = "us-1",
        .connect_ms = CONNECT_MS,
        .keepalive_ms = KEEPALIVE_MS,
        .turn_bytes = 1 << 18,
        .links = &links,
        .begun = on_begun,
        .ended = on_ended,
    };
    return nxi_native_new(&config, &native);
}

static int teardown(void **state)
{
    (void)state;
    nxi_native_free(native);
    nxi_timers_free(&timers);
    timers = (struct nxi_timers){ 0 };
    assert_int_equal(fake.unpacks, fake.forgets);
    assert_int_equal(fake.connects, fake.closes);
    assert_int_equal(atomic_load(&links), 0);
    return 0;
}

/* The peer: two registrations whose keys differ. */
static struct nxi_agent_conn conn = { { (const uint8_t *)"UCX", 3 }, { (const uint8_t *)"addr", 4 } };
static struct nxi_agent       agent = { .n_conns = 1, .conns = &conn };
static struct nxi_agent_desc  regs[2] = { { 0x10000, 1 << 30, 0, { (const uint8_t *)"\1\1\1\1\1\1\1\1\1", 9 } },
                                         { 1ull << 40, 1 << 30, 0, { (const uint8_t *)"\2\1\1\1\1\1\1\1\1", 9 } } };

/* Descriptors of these sizes; those from `second` on lie in the second registration. */
static void prepare(struct transfer *t, enum nxc_kind kind, size_t n, const uint64_t *sizes, size_t second)
{
    *t = (struct transfer){ 0 };
    for (size_t i = 0; i < n; i++) {
        t->ours[i] = nxc_desc_host((char *)0x1000 + (i << 32), sizes[i]);
        t->theirs[i] = nxc_desc_host((char *)(uintptr_t)regs[i >= second].addr + (i << 20), sizes[i]);
        t->covers[i] = sizes[i] ? &regs[i >= second] : NULL;
        t->x.total += sizes[i];
    }
    t->target = (struct nxi_nixl_target){ &agent, "the key", t->theirs, t->covers, t->mems };
    t->x.kind = kind;
    t->x.active = true;
    t->x.descs = t->ours;
    t->x.n = n;
    t->x.deadline = NXI_NEVER;
    t->x.nixl = &t->target;
}

static void start_at(struct transfer *t, enum nxc_kind kind, uint64_t size, uint64_t now)
{
    prepare(t, kind, 1, &size, 1);
    nxi_native_start(native, &t->x, now);
}

static void start(struct transfer *t, enum nxc_kind kind, uint64_t size)
{
    start_at(t, kind, size, 0);
}

static void turns(uint64_t now)
{
    while (nxi_native_busy(native))
        nxi_native_poll(native, now);
}

static void finish(size_t i, int code, uint64_t now)
{
    assert_true(i < fake.n && !fake.made[i].over);
    fake.made[i].over = true;
    fake.fabric.onesided_events->finished(native, fake.made[i].token, code, now);
    turns(now);
}

/* Finishes all in the order in which they were made, also those made on the way. */
static void finish_all(int code, uint64_t now)
{
    for (size_t i = 0; i < fake.n; i++)
        if (!fake.made[i].over)
            finish(i, code, now);
}

static void assert_made(const char *what)
{
    char made[REQUESTS + 1] = "";
    for (size_t i = 0; i < fake.n; i++)
        made[i] = fake.made[i].what;
    assert_string_equal(made, what);
}

static void assert_end(const struct transfer *t, enum nxc_status status, int error)
{
    assert_int_equal(t->ends, 1);
    assert_int_equal(t->status, status);
    assert_int_equal(t->error, error);
}

/* ---- the way of a transfer ----------------------------------------------------------- */

static void test_a_write_is_flushed_before_the_peer_is_told_and_then_complete(void **state)
{
    (void)state;
    struct transfer t;
    start(&t, NXC_WRITE, 1000);
    assert_made("mf"); /* the flush follows at once: it waits for what was before it */
    assert_true(fake.made[0].access.write);
    assert_int_equal(fake.made[0].access.there, regs[0].addr);
    finish(1, 0, 1);
    assert_made("mf");
    finish(0, 0, 1);
    assert_made("mfn");
    assert_string_equal(fake.note, "us-1: the key");
    assert_int_equal(t.ends, 0);
    finish(2, 0, 1);
    assert_end(&t, NXC_COMPLETE, 0);
    assert_int_equal(atomic_load(&t.x.done), 1000);
    assert_string_equal(atomic_load(&t.x.transport), "fake");
}

static void test_a_read_needs_no_flush(void **state)
{
    (void)state;
    struct transfer t;
    start(&t, NXC_READ, 1000);
    assert_made("m");
    assert_false(fake.made[0].access.write);
    finish(0, 0, 1);
    assert_made("mn");
    finish(1, 0, 1);
    assert_end(&t, NXC_COMPLETE, 0);
}

static void test_requests_that_are_done_at_once_need_no_event(void **state)
{
    (void)state;
    struct transfer t;
    fake.at_once = REQUESTS;
    start(&t, NXC_WRITE, 20ull << 20);
    turns(0);
    assert_made("mmmmmmmmmmmmmmmmmmmmfn");
    assert_end(&t, NXC_COMPLETE, 0);
}

static void test_large_memory_goes_in_pieces_a_window_of_them_at_once(void **state)
{
    (void)state;
    struct transfer t;
    const uint64_t  size = (10ull << 20) + 5;
    start(&t, NXC_READ, size);
    turns(0);
    assert_int_equal(fake.n, NXI_NIXL_WINDOW);
    finish_all(0, 1);
    assert_made("mmmmmmmmmmmn");
    uint64_t at = 0;
    for (size_t i = 0; i < 11; i++) {
        assert_int_equal(fake.made[i].access.there, regs[0].addr + at);
        assert_ptr_equal(fake.made[i].access.here, (char *)0x1000 + at);
        at += fake.made[i].access.len;
    }
    assert_int_equal(at, size);
    assert_end(&t, NXC_COMPLETE, 0);
}

static void test_descriptors_without_bytes_move_nothing(void **state)
{
    (void)state;
    struct transfer t;
    const uint64_t  sizes[] = { 0, 5, 0, 0, 7, 0 }, none[] = { 0, 0 };
    fake.at_once = REQUESTS;
    prepare(&t, NXC_READ, 6, sizes, 4);
    nxi_native_start(native, &t.x, 0);
    turns(0);
    assert_made("mmn");
    assert_end(&t, NXC_COMPLETE, 0);
    assert_int_equal(fake.unpacks, 2);
    prepare(&t, NXC_WRITE, 2, none, 2);
    nxi_native_start(native, &t.x, 0);
    turns(0);
    assert_made("mmnfn");
    assert_end(&t, NXC_COMPLETE, 0);
    assert_int_equal(fake.unpacks, 2);
}

static void test_neighbours_of_one_registration_share_its_key(void **state)
{
    (void)state;
    struct transfer t;
    uint64_t        sizes[DESCS];
    for (size_t i = 0; i < DESCS; i++)
        sizes[i] = 10 + i;
    fake.at_once = REQUESTS;
    prepare(&t, NXC_READ, DESCS, sizes, 8);
    nxi_native_start(native, &t.x, 0);
    turns(0);
    assert_end(&t, NXC_COMPLETE, 0);
    assert_int_equal(fake.unpacks, 2);
    assert_int_equal(fake.connects, 1);
}

/* ---- other ends ------------------------------------------------------------------------ */

static void test_a_cancelled_transfer_ends_when_its_last_request_is_over(void **state)
{
    (void)state;
    struct transfer t;
    start(&t, NXC_READ, 20ull << 20);
    turns(0);
    size_t made = fake.n;
    nxi_native_cancel(native, &t.x, 1);
    for (size_t i = 0; i < made; i++) {
        assert_int_equal(t.ends, 0);
        finish(i, 0, 1);
    }
    assert_end(&t, NXC_CANCELLED, NXC_ECANCELLED);
    assert_int_equal(fake.n, made); /* and nobody was told anything */
}

static void test_a_transfer_whose_peer_is_being_told_can_only_complete(void **state)
{
    (void)state;
    struct transfer t;
    fake.at_once = 1;
    start(&t, NXC_READ, 10);
    assert_made("mn");
    nxi_native_cancel(native, &t.x, 1);
    assert_int_equal(t.ends, 0);
    finish(1, 0, 2);
    assert_end(&t, NXC_COMPLETE, 0);
}

static void test_the_deadline_ends_it_and_says_when_the_peer_may_know(void **state)
{
    (void)state;
    struct transfer a, b;
    const uint64_t  size = 10;
    prepare(&a, NXC_READ, 1, &size, 1);
    a.x.deadline = 5;
    nxi_native_start(native, &a.x, 0);
    nxi_timers_run(&timers, 5);
    assert_int_equal(a.ends, 0);
    finish(0, 0, 6);
    assert_end(&a, NXC_ERRORED, NXC_ETIMEDOUT);
    fake.at_once = 1;
    prepare(&b, NXC_READ, 1, &size, 1);
    b.x.deadline = 10;
    nxi_native_start(native, &b.x, 6);
    nxi_timers_run(&timers, 10);
    finish(2, 0, 11);
    assert_end(&b, NXC_ERRORED, NXC_ETIMEDOUT);
    assert_non_null(strstr(b.text, "may have been told"));
}

static void test_a_refused_request_ends_it_once_the_others_are_over(void **state)
{
    (void)state;
    struct transfer t;
    uint64_t        sizes[] = { 10, 10 };
    start(&t, NXC_READ, 3ull << 20);
    finish(0, NXC_EPEER, 1);
    assert_int_equal(t.ends, 0);
    finish(1, 0, 1);
    finish(2, NXC_EPEER, 1);
    assert_end(&t, NXC_ERRORED, NXC_EUNREACH);
    fake.refuse = NXC_ENOMEM;
    prepare(&t, NXC_READ, 2, sizes, 2);
    nxi_native_start(native, &t.x, 2);
    assert_end(&t, NXC_ERRORED, NXC_ENOMEM);
}

static void test_a_peer_that_is_lost_ends_all_its_transfers(void **state)
{
    (void)state;
    struct transfer a, b;
    start(&a, NXC_READ, 10);
    finish(0, 0, 1); /* the peer is there */
    start(&b, NXC_WRITE, 10);
    fake.fabric.onesided_events->lost(native, fake.owner, "the peer is lost: pulled the plug", 2);
    assert_int_equal(fake.closes, 1);
    assert_int_equal(a.ends + b.ends, 0); /* their requests touch memory still */
    finish_all(NXC_EPEER, 3);
    assert_end(&a, NXC_ERRORED, NXC_EPEER);
    assert_end(&b, NXC_ERRORED, NXC_EPEER);
    assert_string_equal(b.text, "the peer is lost: pulled the plug");
    start(&a, NXC_READ, 10); /* the next one begins anew */
    assert_int_equal(fake.connects, 2);
    finish_all(0, 4);
    assert_end(&a, NXC_COMPLETE, 0);
}

/* Each at its own time. */
static void run_due(uint64_t now)
{
    while (nxi_timers_next(&timers) <= now)
        nxi_timers_run(&timers, nxi_timers_next(&timers));
}

/* Runs the timers until t has ended. */
static uint64_t wait_end(const struct transfer *t, uint64_t now)
{
    while (!t->ends && nxi_timers_next(&timers) != NXI_NEVER) {
        now = nxi_timers_next(&timers);
        nxi_timers_run(&timers, now);
        if (fake.closes)
            finish_all(NXC_EPEER, now);
    }
    return now / NXI_MS;
}

static void test_a_peer_that_is_never_reached_is_given_up_after_connect_ms(void **state)
{
    (void)state;
    struct transfer t;
    start(&t, NXC_READ, 10);
    uint64_t ms = wait_end(&t, 0);
    assert_end(&t, NXC_ERRORED, NXC_EUNREACH);
    assert_in_range(ms, CONNECT_MS, CONNECT_MS * 5 / 4);
}

static void test_a_peer_that_falls_silent_is_given_up_after_keepalive_ms(void **state)
{
    (void)state;
    struct transfer t;
    start(&t, NXC_READ, 20ull << 20);
    turns(0);
    for (uint64_t i = 0; i < 4; i++) { /* slow is not silent */
        nxi_timers_run(&timers, i * KEEPALIVE_MS / 2 * NXI_MS);
        finish(i, 0, i * KEEPALIVE_MS / 2 * NXI_MS);
    }
    uint64_t last = 3 * KEEPALIVE_MS / 2, ms = wait_end(&t, last * NXI_MS);
    assert_end(&t, NXC_ERRORED, NXC_EPEER);
    assert_string_equal(t.text, "the peer fell silent");
    assert_in_range(ms, last + KEEPALIVE_MS, last + KEEPALIVE_MS * 5 / 4);
}

/* When we go on, what has come meanwhile need not be all of a request. */
static void test_time_in_which_we_were_stopped_is_not_the_peers_silence(void **state)
{
    (void)state;
    struct transfer t;
    start(&t, NXC_READ, 20ull << 20);
    turns(0);
    finish(0, 0, 0);
    nxi_timers_run(&timers, 10 * KEEPALIVE_MS * NXI_MS);
    assert_int_equal(fake.closes, 0);
    finish_all(0, 10 * KEEPALIVE_MS * NXI_MS);
    assert_end(&t, NXC_COMPLETE, 0);
}

/* Each put fits a buffer and is done at once, each flush waits for a peer that is frozen;
 * and some lose patience, which must not cost the others theirs. */
static void test_new_transfers_do_not_make_a_silent_peer_look_alive(void **state)
{
    (void)state;
    static struct transfer t[32];
    const uint64_t         pause = KEEPALIVE_MS / 10 * NXI_MS;
    size_t                 n = 0;
    start(&t[n++], NXC_WRITE, 10);
    finish_all(0, 0);
    assert_end(&t[0], NXC_COMPLETE, 0);
    for (uint64_t now = 0; !fake.closes && n < 30; now += pause) {
        run_due(now);
        fake.at_once = 1;
        start_at(&t[n++], NXC_WRITE, 10, now);
        nxi_native_cancel(native, &t[n - 1].x, now);
        fake.at_once = 1;
        start_at(&t[n++], NXC_WRITE, 10, now);
    }
    assert_int_equal(fake.closes, 1);
    finish_all(NXC_EPEER, 0);
    for (size_t i = 1; i < n; i++)
        assert_int_equal(t[i].ends, 1);
    assert_string_equal(t[2].text, "the peer fell silent");
}

static void test_a_cancelled_transfer_of_a_silent_peer_ends_too(void **state)
{
    (void)state;
    struct transfer t, other;
    start(&t, NXC_READ, 10);
    start(&other, NXC_READ, 10);
    nxi_native_cancel(native, &t.x, 1);
    uint64_t ms = wait_end(&t, 1); /* closing the peer would end the other one too: it gets its time */
    assert_end(&t, NXC_CANCELLED, NXC_ECANCELLED);
    assert_end(&other, NXC_ERRORED, NXC_EUNREACH);
    assert_in_range(ms, CONNECT_MS, CONNECT_MS * 5 / 4);
    uint64_t now = (ms + 1) * NXI_MS;
    fake.closes = 0;
    fake.connects = 0;
    start_at(&t, NXC_READ, 10, now); /* alone it need not wait */
    nxi_native_cancel(native, &t.x, now);
    assert_in_range(wait_end(&t, now) - ms, 0, NXI_NIXL_GRACE_MS * 2);
    assert_end(&t, NXC_CANCELLED, NXC_ECANCELLED);
}

static void test_a_peer_that_nobody_needs_is_let_go(void **state)
{
    (void)state;
    struct transfer t;
    fake.at_once = 2;
    start(&t, NXC_READ, 10);
    assert_end(&t, NXC_COMPLETE, 0);
    assert_int_equal(fake.closes, 0);
    nxi_timers_run(&timers, NXI_NIXL_IDLE_S * NXI_SEC - 1);
    assert_int_equal(fake.closes, 0);
    nxi_timers_run(&timers, NXI_NIXL_IDLE_S * NXI_SEC);
    assert_int_equal(fake.closes, 1);
}

static void test_freeing_the_connector_ends_what_runs(void **state)
{
    (void)state;
    struct transfer a, b;
    start(&a, NXC_READ, 20ull << 20);
    start(&b, NXC_WRITE, 10);
    nxi_native_stop(native, 1);
    finish_all(0, 2);
    assert_end(&a, NXC_CANCELLED, NXC_ECANCELLED);
    assert_end(&b, NXC_CANCELLED, NXC_ECANCELLED);
    assert_true(nxi_native_stopped(native));
    start(&a, NXC_READ, 10); /* one whose requests never end */
    nxi_native_free(native);
    native = NULL;
    assert_int_equal(a.ends, 1);
}

static void test_memory_that_runs_out_ends_an_operation_once(void **state)
{
    (void)state;
    const uint64_t sizes[] = { 3, 4 };
    for (unsigned nth = 1;; nth++) {
        struct transfer t;
        prepare(&t, NXC_WRITE, 2, sizes, 1);
        fake.n = 0;
        fake.at_once = REQUESTS;
        nxi_mem_fail(nth, false);
        nxi_native_start(native, &t.x, 0);
        turns(0);
        nxi_mem_fail(0, false);
        assert_int_equal(t.ends, 1);
        if (t.status == NXC_COMPLETE)
            break;
        assert_int_equal(t.error, NXC_ENOMEM);
        assert_true(nth < 20);
    }
}

/* ---- the passive side ------------------------------------------------------------------- */

static void notify(const char *name, const char *msg)
{
    const struct nxi_notif n = { { (const uint8_t *)name, strlen(name) }, { (const uint8_t *)msg, strlen(msg) } };
    uint8_t                payload[256];
    nxi_notif_encode(&n, payload);
    fake.fabric.onesided_events->notified(native, payload, nxi_notif_size(n.name.len, n.msg.len), 1);
}

static void test_a_notification_with_its_key_completes_an_offer_once(void **state)
{
    (void)state;
    struct transfer t = { .x = { .kind = NXC_READ, .id = 77, .total = 9, .deadline = NXI_NEVER,
                                 .key = { 77, "0123456789abcde" } } };
    struct nxi_key  key = t.x.key;
    char            text[NXI_KEY_TEXT];
    nxi_native_start(native, &t.x, 0);
    fake.fabric.onesided_events->notified(native, (const uint8_t *)"garbage", 7, 1);
    notify("them", "");
    notify("them", "not a key at all, but as long as one");
    key.secret[15] ^= 1;
    nxi_key_encode(&key, text);
    notify("them", text);
    key = t.x.key;
    key.op = 78;
    nxi_key_encode(&key, text);
    notify("them", text);
    assert_int_equal(t.ends, 0);
    nxi_key_encode(&t.x.key, text);
    notify("whoever", text);
    assert_end(&t, NXC_COMPLETE, 0);
    assert_int_equal(atomic_load(&t.x.done), 9);
    notify("whoever", text);
    assert_int_equal(t.ends, 1);
}

#define NIXL_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NIXL_TEST(test_a_write_is_flushed_before_the_peer_is_told_and_then_complete),
        NIXL_TEST(test_a_read_needs_no_flush),
        NIXL_TEST(test_requests_that_are_done_at_once_need_no_event),
        NIXL_TEST(test_large_memory_goes_in_pieces_a_window_of_them_at_once),
        NIXL_TEST(test_descriptors_without_bytes_move_nothing),
        NIXL_TEST(test_neighbours_of_one_registration_share_its_key),
        NIXL_TEST(test_a_cancelled_transfer_ends_when_its_last_request_is_over),
        NIXL_TEST(test_a_transfer_whose_peer_is_being_told_can_only_complete),
        NIXL_TEST(test_the_deadline_ends_it_and_says_when_the_peer_may_know),
        NIXL_TEST(test_a_refused_request_ends_it_once_the_others_are_over),
        NIXL_TEST(test_a_peer_that_is_lost_ends_all_its_transfers),
        NIXL_TEST(test_a_peer_that_is_never_reached_is_given_up_after_connect_ms),
        NIXL_TEST(test_a_peer_that_falls_silent_is_given_up_after_keepalive_ms),
        NIXL_TEST(test_time_in_which_we_were_stopped_is_not_the_peers_silence),
        NIXL_TEST(test_new_transfers_do_not_make_a_silent_peer_look_alive),
        NIXL_TEST(test_a_cancelled_transfer_of_a_silent_peer_ends_too),
        NIXL_TEST(test_a_peer_that_nobody_needs_is_let_go),
        NIXL_TEST(test_freeing_the_connector_ends_what_runs),
        NIXL_TEST(test_memory_that_runs_out_ends_an_operation_once),
        NIXL_TEST(test_a_notification_with_its_key_completes_an_offer_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
